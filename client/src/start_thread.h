// Threads that may not be had.
#ifndef LARDER_CLIENT_SRC_START_THREAD_H_
#define LARDER_CLIENT_SRC_START_THREAD_H_

#include <functional>
#include <system_error>
#include <thread>
#include <utility>

namespace larder::internal {

// Starts a thread, or returns one that is not joinable, where the system has none left.
using ThreadStarter = std::function<std::thread(std::function<void()>)>;

inline std::thread StartThread(std::function<void()> work) {
  try {
    return std::thread(std::move(work));
  } catch (const std::system_error&) {
    return {};
  }
}

}  // namespace larder::internal

#endif  // LARDER_CLIENT_SRC_START_THREAD_H_
