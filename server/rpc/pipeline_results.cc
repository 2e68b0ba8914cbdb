#include "server/rpc/pipeline_results.h"

#include <string>
#include <utility>

#include "larder/v1/cache.pb.h"
#include "server/rpc/encoding.h"

namespace larder {

AnswerWriter* PipelineResults::Begin(uint64_t id, int field, size_t answer_bytes) {
  static_assert(v1::PipelineResult::kFailureFieldNumber < 16, "every tag takes one byte");
  const size_t id_bytes = id == 0 ? 0 : 1 + VarintSize(id);
  const size_t head_bytes = id_bytes + 1 + VarintSize(answer_bytes);
  const size_t result_bytes = head_bytes + answer_bytes;
  const size_t frame_bytes = 1 + VarintSize(result_bytes) + head_bytes;
  if (messages_.empty() || messages_.back().size() + frame_bytes + answer_bytes > max_message_bytes_) {
    messages_.emplace_back();
  }
  uint8_t* at = messages_.back().Extend(frame_bytes);
  *at++ = static_cast<uint8_t>(TagOf(v1::PipelineResponse::kResultsFieldNumber, WireType::kLengthDelimited));
  at = PutVarint(result_bytes, at);
  at = PutVarintField(v1::PipelineResult::kIdFieldNumber, id, at);
  *at++ = static_cast<uint8_t>(TagOf(field, WireType::kLengthDelimited));
  PutVarint(answer_bytes, at);
  bytes_ += frame_bytes + answer_bytes;
  return &messages_.back();
}

void PipelineResults::Add(uint64_t id, int field, GetResponseWriter&& answer) {
  answer.Write(Begin(id, field, answer.size()));
}

void PipelineResults::Add(uint64_t id, int field, AnswerWriter&& answer) {
  Begin(id, field, answer.size())->Append(std::move(answer));
}

void PipelineResults::Add(uint64_t id, int field, const google::protobuf::MessageLite& answer) {
  const size_t size = answer.ByteSizeLong();
  AnswerWriter* writer = Begin(id, field, size);
  if (size != 0) answer.SerializeWithCachedSizesToArray(writer->Extend(size));
}

void PipelineResults::AddFailure(uint64_t id, const absl::Status& status, uint64_t version) {
  v1::PipelineFailure failure;
  failure.set_code(status.raw_code());
  failure.set_message(std::string(status.message()));
  failure.set_version(version);
  Add(id, v1::PipelineResult::kFailureFieldNumber, failure);
}

grpc::ByteBuffer PipelineResults::Take() {
  AnswerWriter oldest = std::move(messages_.front());
  messages_.pop_front();
  bytes_ -= oldest.size();
  return oldest.Build();
}

void PipelineResults::Clear() {
  messages_.clear();
  bytes_ = 0;
}

}  // namespace larder
