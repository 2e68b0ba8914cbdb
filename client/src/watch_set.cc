#include "client/src/watch_set.h"

#include <optional>

#include "client/src/watch_stream.h"

namespace larder::internal {

WatchSet::WatchSet(CallEnv* env, NearTier* near)
    : env_(env), near_(near), enabled_(near->enabled() && env->options.near.watch) {}

void WatchSet::Use(const std::shared_ptr<Replica>& replica, std::string_view name_space) {
  if (!enabled_ || replica == nullptr) return;
  std::optional<size_t> slot;
  {
    MutexLock lock(&mutex_);
    auto& watched = streams_[replica->id()];
    if (watched.find(name_space) != watched.end()) return;
    slot = near_->sessions().Acquire(name_space);
    if (!slot.has_value()) return;
    watched.emplace(name_space);
  }
  WatchStream::Start(env_, near_, this, replica, std::string(name_space), *slot);
}

void WatchSet::Forget(uint16_t replica, const std::string& name_space, size_t slot) {
  MutexLock lock(&mutex_);
  near_->sessions().Release(slot);
  const auto of_replica = streams_.find(replica);
  if (of_replica == streams_.end()) return;
  of_replica->second.erase(name_space);
  if (of_replica->second.empty()) streams_.erase(of_replica);
}

}  // namespace larder::internal
