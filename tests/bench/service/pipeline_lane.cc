#include "tests/bench/service/pipeline_lane.h"

#include <string>
#include <utility>

#include "grpcpp/client_context.h"
#include "grpcpp/generic/generic_stub.h"

namespace larder::bench {
namespace {

const std::string kPipeline = "/larder.v1.Cache/Pipeline";

}  // namespace

// One stream: at most one read and one write are under way.
class PipelineLane::Stream {
 public:
  Stream(PipelineLane* lane, const std::shared_ptr<grpc::Channel>& channel, size_t in_flight)
      : lane_(lane), stub_(channel), operations_(in_flight) {
    for (size_t id = 0; id < in_flight; ++id) free_.push_back(id);
    rpc_ = stub_.PrepareCall(&context_, kPipeline, &lane->queue_);
    rpc_->StartCall(&started_);
  }

  // What a completion is for.
  struct Tag {
    Stream* stream;
    void (Stream::*proceed)(bool ok);
  };

  bool has_ended() const { return has_ended_; }

 private:
  struct Operation {
    uint64_t key = 0;
    int64_t sent_nanos = 0;
  };

  void StartDone(bool ok) {
    if (!ok) return End();
    Read();
    Write();
  }

  void Read() { rpc_->Read(&answer_, &read_); }

  void ReadDone(bool ok) {
    if (!ok) return End();
    const int64_t now = SteadyNanos();
    const bool counts = now >= lane_->window_.start_nanos && now < lane_->window_.end_nanos;
    const bool is_whole = ReadPipelineAnswers(
        answer_, [this, now, counts](const PipelineAnswer& answer) { TakeAnswer(answer, now, counts); });
    if (!is_whole) ++lane_->result_.seen.wrong;
    Read();
    Write();
  }

  void TakeAnswer(const PipelineAnswer& answer, int64_t now, bool counts) {
    LoadResult& result = lane_->result_;
    if (answer.id >= operations_.size() || operations_[answer.id].sent_nanos == 0) {
      ++result.seen.wrong;  // nobody asked
      return;
    }
    Operation& operation = operations_[answer.id];
    if (!answer.is_get) {
      ++result.failed;
      result.failure = "an operation of the pipeline";
    } else {
      result.seen.Add(JudgeGet(answer.get, operation.key, *lane_->load_.values));
      if (counts) {
        ++result.calls;
        result.latency.Record(now - operation.sent_nanos);
      }
    }
    operation.sent_nanos = 0;
    free_.push_back(answer.id);
  }

  // All that is free, in one message; at the end, that there will be no more.
  void Write() {
    if (is_writing_) return;
    const int64_t now = SteadyNanos();
    if (now >= lane_->window_.end_nanos) {
      if (free_.size() == operations_.size()) WritesDone();
      return;
    }
    if (free_.empty()) return;
    std::string message;
    for (const uint64_t id : free_) {
      operations_[id] = {.key = lane_->load_.choice->Draw(lane_->random_), .sent_nanos = now};
      AppendPipelineGet(id, operations_[id].key, lane_->load_.from_store, &message);
    }
    free_.clear();
    is_writing_ = true;
    const grpc::Slice slice(message);
    rpc_->Write(grpc::ByteBuffer(&slice, 1), &write_);
  }

  void WriteDone(bool ok) {
    is_writing_ = false;
    if (ok) Write();  // where not, the read ends too
  }

  void WritesDone() {
    is_writing_ = true;  // and stays so: nothing may be written after it
    rpc_->WritesDone(&written_);
  }

  void WritesDoneDone(bool /*ok*/) {}

  void End() { rpc_->Finish(&status_, &finished_); }

  void FinishDone(bool /*ok*/) {
    if (!status_.ok()) {
      ++lane_->result_.failed;
      lane_->result_.failure = status_.error_message();
    }
    has_ended_ = true;
  }

  PipelineLane* const lane_;
  grpc::GenericStub stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> rpc_;
  std::vector<Operation> operations_;  // by id
  std::vector<uint64_t> free_;         // ids
  grpc::ByteBuffer answer_;
  grpc::Status status_;
  bool is_writing_ = false;
  bool has_ended_ = false;
  Tag started_{this, &Stream::StartDone};
  Tag read_{this, &Stream::ReadDone};
  Tag write_{this, &Stream::WriteDone};
  Tag written_{this, &Stream::WritesDoneDone};
  Tag finished_{this, &Stream::FinishDone};
};

PipelineLane::PipelineLane(const Load& load, Window window, std::vector<std::shared_ptr<grpc::Channel>> channels,
                           uint64_t seed)
    : load_(load), window_(window), channels_(std::move(channels)), random_(seed) {}

PipelineLane::~PipelineLane() = default;

void PipelineLane::Run(size_t in_flight) {
  std::vector<std::unique_ptr<Stream>> streams;
  for (size_t i = 0; i < channels_.size(); ++i) {
    const size_t share = in_flight / channels_.size() + (i < in_flight % channels_.size() ? 1 : 0);
    streams.push_back(std::make_unique<Stream>(this, channels_[i], share));
  }
  size_t ended = 0;
  void* tag = nullptr;
  bool ok = false;
  while (ended < streams.size() && queue_.Next(&tag, &ok)) {
    const auto* const done = static_cast<Stream::Tag*>(tag);
    const bool had_ended = done->stream->has_ended();
    (done->stream->*done->proceed)(ok);
    if (done->stream->has_ended() && !had_ended) ++ended;
  }
  queue_.Shutdown();
  while (queue_.Next(&tag, &ok)) {
  }
}

}  // namespace larder::bench
