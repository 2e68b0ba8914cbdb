#ifndef LARDER_TESTS_SUPPORT_EVENTUALLY_H_
#define LARDER_TESTS_SUPPORT_EVENTUALLY_H_

#include <chrono>
#include <thread>

#include "absl/functional/function_ref.h"

namespace larder {

// Waits for an event that nothing announces: asks again and again, for at most `limit`. False if it did not come.
inline bool Eventually(absl::FunctionRef<bool()> condition,
                       std::chrono::milliseconds limit = std::chrono::seconds(10)) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace larder

#endif  // LARDER_TESTS_SUPPORT_EVENTUALLY_H_
