#include "server/origin/load_queue.h"

#include <algorithm>
#include <utility>

namespace larder {

void QueuedLoad::Finish(absl::StatusOr<OriginValue> answer) && {
  for (size_t i = 0; i + 1 < dones_.size(); ++i) std::move(dones_[i])(answer);
  std::move(dones_.back())(std::move(answer));
}

void LoadQueue::Add(std::string key, int64_t now_nanos, QueuedLoad::Done done) {
  ++waiting_;
  const auto queued = by_key_.find(key);
  if (queued != by_key_.end()) return queued->second->Join(std::move(done));
  QueuedLoad& load = loads_.emplace_back(std::move(key), now_nanos);
  load.Join(std::move(done));
  by_key_.emplace(load.key(), &load);
}

LoadQueue::Loads LoadQueue::Take(size_t limit) {
  Loads taken;
  taken.reserve(std::min(limit, loads_.size()));
  while (!loads_.empty() && taken.size() < limit) Pop(taken);
  return taken;
}

LoadQueue::Loads LoadQueue::TakeOlder(int64_t than_nanos) {
  Loads taken;
  while (!loads_.empty() && loads_.front().since_nanos() < than_nanos) Pop(taken);
  return taken;
}

void LoadQueue::Pop(Loads& taken) {
  QueuedLoad& load = loads_.front();
  waiting_ -= load.waiting();
  by_key_.erase(load.key());
  taken.push_back(std::move(load));
  loads_.pop_front();
}

}  // namespace larder
