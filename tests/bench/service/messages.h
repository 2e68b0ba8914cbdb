// Requests as bytes, and answers judged as bytes: a client that made a message object of each would measure those.
#ifndef LARDER_TESTS_BENCH_SERVICE_MESSAGES_H_
#define LARDER_TESTS_BENCH_SERVICE_MESSAGES_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "grpcpp/support/byte_buffer.h"
#include "tests/bench/service/values.h"

namespace larder::bench {

// What answers held.
struct Seen {
  uint64_t hits = 0;    // with the right value
  uint64_t near = 0;    // of them from the near tier
  uint64_t misses = 0;  // and whatever else is no hit
  uint64_t wrong = 0;   // hits with another value than the key's, answers that cannot be read

  void Add(const Seen& other);
};

// One result of a PipelineResponse.
struct PipelineAnswer {
  uint64_t id = 0;
  bool is_get = false;
  std::string_view get;  // a GetResponse; good until who is given it returns
};

// Of the namespace `default`.
grpc::ByteBuffer GetMessage(uint64_t key, bool from_store);
grpc::ByteBuffer BatchGetMessage(const std::vector<uint64_t>& keys, bool from_store);
grpc::ByteBuffer SetMessage(uint64_t key, const Values& values);

// Adds a Get to the bytes of a PipelineRequest.
void AppendPipelineGet(uint64_t id, uint64_t key, bool from_store, std::string* message);

// Gives `take` each result of a PipelineResponse, in order. False if it cannot be read to its end.
bool ReadPipelineAnswers(const grpc::ByteBuffer& answer, absl::FunctionRef<void(const PipelineAnswer&)> take);

// A GetResponse, and a BatchGetResponse with an answer for each of the keys, in order.
Seen JudgeGet(const grpc::ByteBuffer& answer, uint64_t key, const Values& values);
Seen JudgeGet(std::string_view answer, uint64_t key, const Values& values);
Seen JudgeBatchGet(const grpc::ByteBuffer& answer, const std::vector<uint64_t>& keys, const Values& values);

}  // namespace larder::bench

#endif  // LARDER_TESTS_BENCH_SERVICE_MESSAGES_H_
