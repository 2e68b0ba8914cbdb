// Keys that wait for a call of the origin.
#ifndef LARDER_SERVER_ORIGIN_LOAD_QUEUE_H_
#define LARDER_SERVER_ORIGIN_LOAD_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "server/engine/origin.h"

namespace larder {

// A key, and all who wait for it.
class QueuedLoad {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<OriginValue>) &&>;

  QueuedLoad(std::string key, int64_t since_nanos) : key_(std::move(key)), since_nanos_(since_nanos) {}

  const std::string& key() const { return key_; }
  int64_t since_nanos() const { return since_nanos_; }
  size_t waiting() const { return dones_.size(); }

  void Join(Done done) { dones_.push_back(std::move(done)); }
  // Once, with no lock held.
  void Finish(absl::StatusOr<OriginValue> answer) &&;

 private:
  std::string key_;
  int64_t since_nanos_;
  std::vector<Done> dones_;
};

// In the order of arrival, each key once. Not thread-safe.
class LoadQueue {
 public:
  using Loads = std::vector<QueuedLoad>;

  bool empty() const { return loads_.empty(); }
  size_t keys() const { return loads_.size(); }
  // Requests that wait; those that joined count too.
  size_t waiting() const { return waiting_; }
  // When the oldest key came. Not of an empty queue.
  int64_t since_nanos() const { return loads_.front().since_nanos(); }

  // Joins the key where it is queued already: its call has yet to be sent, and so will answer by what is there later.
  void Add(std::string key, int64_t now_nanos, QueuedLoad::Done done);

  // The oldest ones, `limit` at most.
  Loads Take(size_t limit);
  Loads TakeAll() { return Take(loads_.size()); }
  // Those that came before.
  Loads TakeOlder(int64_t than_nanos);

 private:
  void Pop(Loads& taken);

  std::deque<QueuedLoad> loads_;  // stays in place when its ends change, which by_key_ rests on
  std::unordered_map<std::string_view, QueuedLoad*> by_key_;
  size_t waiting_ = 0;
};

}  // namespace larder

#endif  // LARDER_SERVER_ORIGIN_LOAD_QUEUE_H_
