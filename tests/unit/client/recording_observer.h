#ifndef LARDER_TESTS_UNIT_CLIENT_RECORDING_OBSERVER_H_
#define LARDER_TESTS_UNIT_CLIENT_RECORDING_OBSERVER_H_

#include <string>
#include <vector>

#include "core/mutex.h"
#include "larder/observer.h"

namespace larder {

// Remembers what it was told. Thread-safe.
class RecordingObserver final : public Observer {
 public:
  struct Load {
    friend bool operator==(const Load&, const Load&) = default;
    std::string key;
    absl::StatusCode code;
    bool joined;
  };

  void OnRead(const ReadReport& report) override {
    MutexLock lock(&mutex_);
    reads_.near_hits += report.near_hits;
    reads_.hits += report.hits;
    reads_.misses += report.misses;
    reads_.failures += report.failures;
  }
  void OnLoad(const LoadReportEvent& event) override {
    MutexLock lock(&mutex_);
    loads_.push_back({std::string(event.key), event.code, event.joined});
  }

  // Near hits, hits, misses, failures.
  std::vector<int> reads() const {
    MutexLock lock(&mutex_);
    return {reads_.near_hits, reads_.hits, reads_.misses, reads_.failures};
  }
  std::vector<Load> loads() const {
    MutexLock lock(&mutex_);
    return loads_;
  }

 private:
  mutable Mutex mutex_;
  ReadReport reads_ ABSL_GUARDED_BY(mutex_);
  std::vector<Load> loads_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace larder

#endif  // LARDER_TESTS_UNIT_CLIENT_RECORDING_OBSERVER_H_
