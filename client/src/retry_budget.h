// Keeps retries from multiplying the load on a service that is in trouble.
#ifndef LARDER_CLIENT_SRC_RETRY_BUDGET_H_
#define LARDER_CLIENT_SRC_RETRY_BUDGET_H_

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace larder::internal {

// A bucket of tokens: each call puts in `ratio` of one, each retry takes one out. It begins with, and holds at most,
// kReserve, so that a client of few calls may retry too. Thread-safe, lock-free.
class RetryBudget {
 public:
  static constexpr int kReserve = 20;

  // `ratio` from 0 to 1; 0 allows no retry at all.
  explicit RetryBudget(double ratio)
      : deposit_(static_cast<int64_t>(ratio * kUnit)), tokens_(deposit_ == 0 ? 0 : kReserve * kUnit) {}

  void OnCall() {
    // Full is the usual case, and then nothing is written.
    int64_t tokens = tokens_.load(std::memory_order_relaxed);
    while (tokens < kReserve * kUnit && deposit_ > 0) {
      const int64_t more = std::min(tokens + deposit_, kReserve * kUnit);
      if (tokens_.compare_exchange_weak(tokens, more, std::memory_order_relaxed)) return;
    }
  }

  // True if a retry may be made.
  bool Withdraw() {
    int64_t tokens = tokens_.load(std::memory_order_relaxed);
    while (tokens >= kUnit) {
      if (tokens_.compare_exchange_weak(tokens, tokens - kUnit, std::memory_order_relaxed)) return true;
    }
    return false;
  }

 private:
  static constexpr int64_t kUnit = 1000;

  const int64_t deposit_;
  std::atomic<int64_t> tokens_;
};

}  // namespace larder::internal

#endif  // LARDER_CLIENT_SRC_RETRY_BUDGET_H_
