// One thread's share of a load.
#ifndef LARDER_TESTS_BENCH_SERVICE_LANE_H_
#define LARDER_TESTS_BENCH_SERVICE_LANE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "grpcpp/channel.h"
#include "grpcpp/completion_queue.h"
#include "grpcpp/generic/generic_stub.h"
#include "tests/bench/service/load.h"

namespace larder::bench {

int64_t SteadyNanos();

// What is counted: in a closed loop what is answered in this time, in an open one what was to be made in it. Set before
// the first call.
struct Window {
  int64_t start_nanos = 0;
  int64_t end_nanos = 0;
};

// Makes calls on its own channels and takes their answers from its own completion queue.
class Lane {
 public:
  // `load` must outlive it.
  Lane(const Load& load, Window window, std::vector<std::shared_ptr<grpc::Channel>> channels, uint64_t seed);
  ~Lane();
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  // Closed loop: keeps so many calls under way until the window ends. Blocks until the last one is answered.
  void RunClosed(size_t in_flight);

  // Open loop: one thread makes calls, each as of when it was to be made, and another takes the answers; Poll() blocks
  // until EndCalls() was called and everything is answered.
  void MakeCall(int64_t intended_nanos);
  void EndCalls() { queue_.Shutdown(); }
  void Poll();

  // Once it has run.
  const LoadResult& result() const { return result_; }

 private:
  struct Call;

  void Start(Call* call, int64_t intended_nanos);
  void Take(Call& call);
  Seen Judge(const Call& call) const;
  const std::string& MethodOf(const Call& call) const;

  const Load& load_;
  const Window window_;
  const std::vector<std::shared_ptr<grpc::Channel>> channels_;
  std::vector<std::unique_ptr<grpc::GenericStub>> stubs_;
  Random random_;  // the thread's that makes calls
  size_t next_stub_ = 0;
  grpc::CompletionQueue queue_;
  LoadResult result_;  // the thread's that takes answers
};

}  // namespace larder::bench

#endif  // LARDER_TESTS_BENCH_SERVICE_LANE_H_
