// The Watch streams of a client.
#ifndef LARDER_CLIENT_SRC_WATCH_SET_H_
#define LARDER_CLIENT_SRC_WATCH_SET_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "client/src/call_env.h"
#include "client/src/near_tier.h"
#include "client/src/replica.h"
#include "core/mutex.h"

namespace larder::internal {

// One stream for each replica and namespace that is read, for as long as the replica is known. Thread-safe; never
// blocks. The streams end with the CallEnv's Close().
class WatchSet {
 public:
  // Both must outlive this, and this the streams.
  WatchSet(CallEnv* env, NearTier* near);

  // A read is about to be sent there. Does nothing where nothing is to be watched; `replica` may be null.
  void Use(const std::shared_ptr<Replica>& replica, std::string_view name_space);

  // A stream is over.
  void Forget(uint16_t replica, const std::string& name_space, size_t slot);

 private:
  CallEnv* const env_;
  NearTier* const near_;
  const bool enabled_;

  Mutex mutex_;
  std::map<uint16_t, std::set<std::string, std::less<>>> streams_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace larder::internal

#endif  // LARDER_CLIENT_SRC_WATCH_SET_H_
