// Entries for a warm-up, read from a file.
#ifndef LARDER_SERVER_ENGINE_WARM_FILE_READER_H_
#define LARDER_SERVER_ENGINE_WARM_FILE_READER_H_

#include <memory>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "core/mutex.h"
#include "server/engine/warm_job_run.h"

namespace larder {

// Has a thread while it reads, since reading and waiting for room both block. Thread-safe.
class WarmFileReader {
 public:
  WarmFileReader() = default;
  ~WarmFileReader() { Stop(); }
  WarmFileReader(const WarmFileReader&) = delete;
  WarmFileReader& operator=(const WarmFileReader&) = delete;

  // Offers the file's entries to the run, each line an item, until the run wants no more, and says that there are no
  // more: NOT_FOUND or FAILED_PRECONDITION, naming the path, if it cannot be read. The file read before must have been
  // given up by its run; waits for that.
  void Start(std::string path, std::shared_ptr<WarmJobRun> run);

  // Waits for the file that is being read, whose run must have ended. None is read from now on.
  void Stop();

 private:
  Mutex mutex_;
  std::thread thread_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace larder

#endif  // LARDER_SERVER_ENGINE_WARM_FILE_READER_H_
