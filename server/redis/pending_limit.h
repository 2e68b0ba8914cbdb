// How much may wait for Redis at once.
#ifndef LARDER_SERVER_REDIS_PENDING_LIMIT_H_
#define LARDER_SERVER_REDIS_PENDING_LIMIT_H_

#include <atomic>
#include <cstddef>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace larder {

// Thread-safe.
class PendingLimit {
 public:
  // One operation's part, given back with this. The limit must outlive it.
  class Held {
   public:
    Held() = default;
    Held(Held&& other) noexcept : of_(std::exchange(other.of_, nullptr)), bytes_(other.bytes_) {}
    Held& operator=(Held other) noexcept {
      std::swap(of_, other.of_);
      std::swap(bytes_, other.bytes_);
      return *this;
    }
    ~Held() {
      if (of_ != nullptr) of_->Release(bytes_);
    }

   private:
    friend class PendingLimit;
    Held(PendingLimit* of, size_t bytes) : of_(of), bytes_(bytes) {}

    PendingLimit* of_ = nullptr;
    size_t bytes_ = 0;
  };

  PendingLimit(size_t max_count, size_t max_bytes) : max_count_(max_count), max_bytes_(max_bytes) {}

  // RESOURCE_EXHAUSTED, with the limit, if that would be too much.
  absl::StatusOr<Held> Take(size_t bytes) {
    const size_t count = count_.fetch_add(1) + 1;
    const size_t in_all = bytes_.fetch_add(bytes) + bytes;
    if (count <= max_count_ && in_all <= max_bytes_) return Held(this, bytes);
    Release(bytes);
    return absl::ResourceExhaustedError(
        count > max_count_ ? absl::StrCat("the limit of ", max_count_, " operations waiting for Redis is reached")
                           : absl::StrCat("the limit of ", max_bytes_, " bytes waiting for Redis is reached"));
  }

 private:
  void Release(size_t bytes) {
    count_.fetch_sub(1);
    bytes_.fetch_sub(bytes);
  }

  const size_t max_count_;
  const size_t max_bytes_;
  std::atomic<size_t> count_{0};
  std::atomic<size_t> bytes_{0};
};

}  // namespace larder

#endif  // LARDER_SERVER_REDIS_PENDING_LIMIT_H_
