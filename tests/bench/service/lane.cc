#include "tests/bench/service/lane.h"

#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "grpcpp/client_context.h"

namespace larder::bench {
namespace {

const std::string kGet = "/larder.v1.Cache/Get";
const std::string kBatchGet = "/larder.v1.Cache/BatchGet";
const std::string kSet = "/larder.v1.Cache/Set";

}  // namespace

int64_t SteadyNanos() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

struct Lane::Call {
  std::optional<grpc::ClientContext> context;  // one for each time it is made
  grpc::ByteBuffer request;
  grpc::ByteBuffer answer;
  grpc::Status status;
  std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader;
  std::vector<uint64_t> keys;
  bool is_write = false;
  int64_t intended_nanos = 0;
};

Lane::Lane(const Load& load, Window window, std::vector<std::shared_ptr<grpc::Channel>> channels, uint64_t seed)
    : load_(load), window_(window), channels_(std::move(channels)), random_(seed) {
  for (const auto& channel : channels_) stubs_.push_back(std::make_unique<grpc::GenericStub>(channel));
}

Lane::~Lane() = default;

const std::string& Lane::MethodOf(const Call& call) const {
  if (call.is_write) return kSet;
  return load_.batch > 1 ? kBatchGet : kGet;
}

void Lane::Start(Call* call, int64_t intended_nanos) {
  call->intended_nanos = intended_nanos;
  call->is_write = load_.write_share > 0 && random_.Unit() < load_.write_share;
  call->keys.resize(call->is_write ? 1 : load_.batch);
  for (uint64_t& key : call->keys) key = load_.choice->Draw(random_);
  if (call->is_write) {
    call->request = SetMessage(call->keys[0], *load_.values);
  } else if (load_.batch > 1) {
    call->request = BatchGetMessage(call->keys, load_.from_store);
  } else {
    call->request = GetMessage(call->keys[0], load_.from_store);
  }
  call->context.emplace();
  if (load_.deadline_seconds > 0) {
    const auto deadline = std::chrono::duration<double>(load_.deadline_seconds);
    call->context->set_deadline(std::chrono::system_clock::now() +
                                std::chrono::duration_cast<std::chrono::system_clock::duration>(deadline));
  }
  grpc::GenericStub& stub = *stubs_[next_stub_++ % stubs_.size()];
  call->reader = stub.PrepareUnaryCall(&*call->context, MethodOf(*call), call->request, &queue_);
  call->reader->StartCall();
  call->reader->Finish(&call->answer, &call->status, call);
}

Seen Lane::Judge(const Call& call) const {
  if (call.is_write) return {};
  return load_.batch > 1 ? JudgeBatchGet(call.answer, call.keys, *load_.values)
                         : JudgeGet(call.answer, call.keys[0], *load_.values);
}

void Lane::Take(Call& call) {
  const int64_t now = SteadyNanos();
  const int64_t counted_at = load_.rate > 0 ? call.intended_nanos : now;
  const bool counts = counted_at >= window_.start_nanos && counted_at < window_.end_nanos;
  const int64_t latency = now - call.intended_nanos;
  switch (call.status.error_code()) {
    case grpc::StatusCode::OK: {
      // Every answer is judged, counted or not, so that the work is the same all the time.
      const Seen seen = Judge(call);
      result_.seen.Add(seen);
      if (!counts) break;
      ++result_.calls;
      result_.missed += seen.misses;
      result_.latency.Record(latency);
      break;
    }
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      if (!counts) break;
      ++result_.refused;
      result_.refusal_latency.Record(latency);
      break;
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      result_.late += counts ? 1 : 0;
      break;
    default:
      ++result_.failed;
      result_.failure = call.status.error_message();
  }
  call.answer.Clear();
  call.reader.reset();
}

void Lane::RunClosed(size_t in_flight) {
  std::vector<Call> calls(in_flight);
  for (Call& call : calls) Start(&call, SteadyNanos());
  size_t under_way = in_flight;
  void* tag = nullptr;
  bool ok = false;
  while (under_way > 0 && queue_.Next(&tag, &ok)) {
    Call& call = *static_cast<Call*>(tag);
    Take(call);
    const int64_t now = SteadyNanos();
    now < window_.end_nanos ? Start(&call, now) : static_cast<void>(--under_way);
  }
  queue_.Shutdown();
  while (queue_.Next(&tag, &ok)) {
  }
}

void Lane::MakeCall(int64_t intended_nanos) { Start(new Call(), intended_nanos); }

void Lane::Poll() {
  void* tag = nullptr;
  bool ok = false;
  while (queue_.Next(&tag, &ok)) {
    const std::unique_ptr<Call> call(static_cast<Call*>(tag));
    Take(*call);
  }
}

}  // namespace larder::bench
