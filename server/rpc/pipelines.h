// The Pipeline streams that are open.
#ifndef LARDER_SERVER_RPC_PIPELINES_H_
#define LARDER_SERVER_RPC_PIPELINES_H_

#include <array>
#include <cstddef>
#include <map>
#include <memory>

#include "absl/status/status.h"
#include "core/mutex.h"
#include "server/metrics/metrics.h"
#include "server/rpc/cache_operations.h"

namespace larder {

class PipelineCall;

// What the streams have in common: their limits, their counters, what may be asked for, and their end. Thread-safe.
class Pipelines {
 public:
  struct Options {
    size_t max_operations = 0;  // under way on one stream, and in one message
    size_t max_bytes = 0;       // of answers that wait on one stream
  };
  // Why a stream takes nothing more for a while.
  enum class Held { kOperations, kBytes };

  // The pointees must outlive the server.
  Pipelines(Options options, const CacheOperations* operations, Registry* registry);

  const Options& options() const { return options_; }
  const Exchange::Terms& terms() const { return operations_->terms(); }

  // Does what the field of PipelineOperation says; there must be such a field. As CacheOperations has it.
  void Run(int field, const RequestBody& body, Exchange* exchange) const;

  // `field` 0: of an operation that could not be read. `code`: an absl::StatusCode or what came as one.
  void CountAnswered(int field, int code);
  void CountHeld(Held why);

  // Takes a stream in. UNAVAILABLE once all have been ended.
  absl::Status Add(const std::shared_ptr<PipelineCall>& call);
  // Each that was taken in, once.
  void Remove(PipelineCall* call);

  // Lets the streams answer what is under way, ends them, and lets no further one in.
  void EndAll();

 private:
  static constexpr size_t kFields = 9;
  static constexpr size_t kCodes = 17;

  const Options options_;
  const CacheOperations* const operations_;
  std::array<std::array<Counter*, kCodes>, kFields> answered_ = {};
  std::array<Counter*, 2> held_ = {};

  mutable Mutex mutex_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<PipelineCall*, std::weak_ptr<PipelineCall>> calls_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace larder

#endif  // LARDER_SERVER_RPC_PIPELINES_H_
