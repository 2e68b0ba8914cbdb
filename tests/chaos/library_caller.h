// Uses the client library, with all replicas.
#ifndef LARDER_TESTS_CHAOS_LIBRARY_CALLER_H_
#define LARDER_TESTS_CHAOS_LIBRARY_CALLER_H_

#include <atomic>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "core/mutex.h"
#include "larder/client.h"
#include "tests/chaos/client.h"

namespace larder::chaos {

// Calls as an application does, by the library's own rules of what is tried again, and where. Which replica answered is
// not known, and so nothing is held against it that only the same one must keep.
class LibraryCaller final : public Client {
 public:
  using Client::Client;

  void Run() override;

  // How many calls have ended so far, and what those that failed have ended with. Any thread.
  size_t calls() const { return calls_; }
  std::vector<std::string> Errors() const;

 private:
  void Get(Cache& cache, int key);
  void BatchGet(Cache& cache);
  void Set(Cache& cache, int key);
  void Invalidate(Cache& cache, int key);
  void NoteHit(const MaybeHit& hit, Operation read);
  void NoteError(std::string_view call, const absl::Status& status);

  std::atomic<size_t> calls_{0};
  mutable Mutex mutex_;
  std::vector<std::string> errors_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace larder::chaos

#endif  // LARDER_TESTS_CHAOS_LIBRARY_CALLER_H_
