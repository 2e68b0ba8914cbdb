#include "tests/bench/service/load.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/clock.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "larder/v1/cache.grpc.pb.h"
#include "tests/bench/service/lane.h"
#include "tests/bench/service/pipeline_lane.h"
#include "tests/bench/service/processes.h"

namespace larder::bench {
namespace {

constexpr double kPopulateConnectSeconds = 10;
constexpr uint64_t kBatchKeys = 100;
constexpr uint64_t kBatchBytes = uint64_t{1} << 20;  // of values; well below the message limit

int64_t ToNanos(double seconds) { return static_cast<int64_t>(seconds * static_cast<double>(kNanosPerSecond)); }

// steady_clock is CLOCK_MONOTONIC.
void SleepUntil(int64_t steady_nanos) {
  const timespec until = {.tv_sec = steady_nanos / kNanosPerSecond, .tv_nsec = steady_nanos % kNanosPerSecond};
  while (::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) == EINTR) {
  }
}

// A connection of its own.
absl::StatusOr<std::shared_ptr<grpc::Channel>> Connect(const std::string& target, double timeout_seconds) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetMaxReceiveMessageSize(-1);
  auto channel = grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
  const auto timeout = std::chrono::milliseconds(static_cast<int64_t>(timeout_seconds * 1'000));
  if (!channel->WaitForConnected(std::chrono::system_clock::now() + timeout)) {
    return absl::UnavailableError(absl::StrCat("no connection to ", target));
  }
  return channel;
}

using Channels = std::vector<std::shared_ptr<grpc::Channel>>;

// The channels of each thread.
absl::StatusOr<std::vector<Channels>> ConnectAll(const Load& load) {
  std::vector<Channels> channels(std::min({load.threads, load.channels, load.in_flight}));
  for (size_t i = 0; i < load.channels; ++i) {
    auto channel = Connect(load.target, load.connect_timeout_seconds);
    if (!channel.ok()) return channel.status();
    channels[i % channels.size()].push_back(*std::move(channel));
  }
  return channels;
}

// Makes the calls of an open loop at their times, on the lanes in turn. A call that is late, as the thread was not
// run in time, is made at once.
void MakeCalls(const Load& load, int64_t from_nanos, Window window, const std::vector<std::shared_ptr<Lane>>& lanes) {
  const double interval = static_cast<double>(kNanosPerSecond) / load.rate;
  for (uint64_t i = 0;; ++i) {
    const int64_t intended = from_nanos + static_cast<int64_t>(static_cast<double>(i) * interval);
    if (intended >= window.end_nanos) break;
    if (SteadyNanos() < intended) SleepUntil(intended);
    lanes[i % lanes.size()]->MakeCall(intended);
  }
  for (const auto& lane : lanes) lane->EndCalls();
}

// What one thread does, and what came of it.
using Work = std::function<LoadResult()>;

size_t ShareOf(size_t all, size_t parts, size_t i) { return all / parts + (i < all % parts ? 1 : 0); }

std::vector<Work> PipelineWork(const Load& load, Window window, std::vector<Channels> channels) {
  std::vector<Work> work;
  for (size_t i = 0; i < channels.size(); ++i) {
    auto lane = std::make_shared<PipelineLane>(load, window, std::move(channels[i]), i + 1);
    work.push_back([lane, share = ShareOf(load.in_flight, channels.size(), i)] {
      lane->Run(share);
      return lane->result();
    });
  }
  return work;
}

std::vector<Work> CallWork(const Load& load, int64_t from_nanos, Window window, std::vector<Channels> channels) {
  std::vector<Work> work;
  std::vector<std::shared_ptr<Lane>> lanes;
  for (size_t i = 0; i < channels.size(); ++i) {
    lanes.push_back(std::make_shared<Lane>(load, window, std::move(channels[i]), i + 1));
    work.push_back([lane = lanes[i], is_open = load.rate > 0, share = ShareOf(load.in_flight, channels.size(), i)] {
      is_open ? lane->Poll() : lane->RunClosed(share);
      return lane->result();
    });
  }
  if (load.rate == 0) return work;
  work.push_back([&load, from_nanos, window, lanes] {
    MakeCalls(load, from_nanos, window, lanes);
    return LoadResult();
  });
  return work;
}

std::vector<double> CpuSeconds(const std::vector<pid_t>& watched) {
  std::vector<double> seconds;
  for (const pid_t pid : watched) seconds.push_back(CpuSecondsOf(pid));
  seconds.push_back(CpuSecondsOf(::getpid()));
  return seconds;
}

void Add(const LoadResult& part, LoadResult& sum) {
  sum.calls += part.calls;
  sum.missed += part.missed;
  sum.seen.Add(part.seen);
  sum.refused += part.refused;
  sum.late += part.late;
  sum.failed += part.failed;
  if (!part.failure.empty()) sum.failure = part.failure;
  sum.latency.Merge(part.latency);
  sum.refusal_latency.Merge(part.refusal_latency);
}

absl::Status WriteKeys(v1::Cache::Stub& stub, const Values& values, uint64_t first, uint64_t end) {
  grpc::ClientContext context;
  v1::BatchSetRequest request;
  v1::BatchSetResponse response;
  for (uint64_t key = first; key < end; ++key) {
    v1::SetRequest* const entry = request.add_entries();
    entry->set_key(KeyText(key));
    entry->set_value(values.Of(key));
    entry->set_ttl_ms(3'600'000);  // longer than any run
  }
  const grpc::Status status = stub.BatchSet(&context, request, &response);
  if (!status.ok()) return absl::InternalError(status.error_message());
  for (const v1::BatchSetResult& result : response.results()) {
    if (result.code() != 0) return absl::InternalError(result.message());
  }
  return absl::OkStatus();
}

absl::Status ReadKeys(v1::Cache::Stub& stub, const Values& values, uint64_t first, uint64_t end) {
  grpc::ClientContext context;
  v1::BatchGetRequest request;
  v1::BatchGetResponse response;
  for (uint64_t key = first; key < end; ++key) request.add_keys(KeyText(key));
  const grpc::Status status = stub.BatchGet(&context, request, &response);
  if (!status.ok()) return absl::InternalError(status.error_message());
  for (int i = 0; i < request.keys_size(); ++i) {
    if (i >= response.results_size() ||
        !values.Matches(first + static_cast<uint64_t>(i), response.results(i).value())) {
      return absl::DataLossError(absl::StrCat("not what was written is under ", request.keys(i)));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status LoadResult::Check() const {
  if (seen.wrong > 0) return absl::DataLossError(absl::StrCat(seen.wrong, " answers held a wrong value"));
  if (failed > 0) return absl::InternalError(absl::StrCat(failed, " calls failed: ", failure));
  return absl::OkStatus();
}

absl::StatusOr<LoadResult> RunLoad(const Load& load, const std::vector<pid_t>& watched) {
  auto channels = ConnectAll(load);
  if (!channels.ok()) return channels.status();
  const int64_t from = SteadyNanos();
  const Window window = {.start_nanos = from + ToNanos(load.warm_up_seconds),
                         .end_nanos = from + ToNanos(load.warm_up_seconds + load.seconds)};
  const std::vector<Work> work = load.pipeline ? PipelineWork(load, window, *std::move(channels))
                                               : CallWork(load, from, window, *std::move(channels));
  std::vector<std::future<LoadResult>> parts;
  for (const Work& one : work) parts.push_back(std::async(std::launch::async, one));

  LoadResult result;
  SleepUntil(window.start_nanos);
  const std::vector<double> before = CpuSeconds(watched);
  SleepUntil(window.end_nanos);
  result.cpu_seconds = CpuSeconds(watched);
  for (size_t i = 0; i < before.size(); ++i) result.cpu_seconds[i] -= before[i];
  result.seconds = load.seconds;
  for (std::future<LoadResult>& part : parts) Add(part.get(), result);
  return result;
}

absl::Status Populate(const std::string& target, uint64_t keys, const Values& values) {
  auto channel = Connect(target, kPopulateConnectSeconds);
  if (!channel.ok()) return channel.status();
  const std::unique_ptr<v1::Cache::Stub> stub = v1::Cache::NewStub(*channel);
  const uint64_t step = std::clamp<uint64_t>(kBatchBytes / values.value_bytes(), 1, kBatchKeys);
  for (const auto act : {&WriteKeys, &ReadKeys}) {
    for (uint64_t key = 0; key < keys; key += step) {
      if (absl::Status status = act(*stub, values, key, std::min(key + step, keys)); !status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

}  // namespace larder::bench
