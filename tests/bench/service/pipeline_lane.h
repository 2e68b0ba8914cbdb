// One thread's share of a load that goes over Pipeline.
#ifndef LARDER_TESTS_BENCH_SERVICE_PIPELINE_LANE_H_
#define LARDER_TESTS_BENCH_SERVICE_PIPELINE_LANE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "grpcpp/channel.h"
#include "grpcpp/completion_queue.h"
#include "tests/bench/service/lane.h"
#include "tests/bench/service/load.h"

namespace larder::bench {

// Keeps so many Gets under way on one stream of each channel until the window ends. What is free when a message may be
// written goes into that message, so a message is as large as answers are many.
class PipelineLane {
 public:
  // `load` must outlive it.
  PipelineLane(const Load& load, Window window, std::vector<std::shared_ptr<grpc::Channel>> channels, uint64_t seed);
  ~PipelineLane();
  PipelineLane(const PipelineLane&) = delete;
  PipelineLane& operator=(const PipelineLane&) = delete;

  // `in_flight` over all streams. Blocks until everything is answered and the streams have ended.
  void Run(size_t in_flight);

  const LoadResult& result() const { return result_; }

 private:
  class Stream;

  const Load& load_;
  const Window window_;
  const std::vector<std::shared_ptr<grpc::Channel>> channels_;
  Random random_;
  grpc::CompletionQueue queue_;
  LoadResult result_;
};

}  // namespace larder::bench

#endif  // LARDER_TESTS_BENCH_SERVICE_PIPELINE_LANE_H_
