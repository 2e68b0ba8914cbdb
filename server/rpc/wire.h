// Between the messages of larder.v1 and the engine's commands and answers.
#ifndef LARDER_SERVER_RPC_WIRE_H_
#define LARDER_SERVER_RPC_WIRE_H_

#include <cstddef>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "google/protobuf/message_lite.h"
#include "grpcpp/support/byte_buffer.h"
#include "larder/v1/cache.pb.h"
#include "server/engine/cache_engine.h"
#include "server/engine/commands.h"
#include "server/engine/entry_warmer.h"
#include "server/rpc/request_body.h"

namespace larder {

// INVALID_ARGUMENT naming the message's type, such as `larder.v1.GetRequest`: the bytes are not one.
absl::Status MalformedRequest(std::string_view type);

// MalformedRequest if the bytes are not such a message.
absl::Status Parse(const RequestBody& body, google::protobuf::MessageLite* message);
inline absl::Status Parse(const grpc::ByteBuffer& bytes, google::protobuf::MessageLite* message) {
  return Parse(RequestBody(bytes), message);
}

// INVALID_ARGUMENT if the bytes hold more than `limit` of the length-delimited field `number`, called `name`. To be
// asked before Parse: a message of a few bytes for each element takes a hundred times that once it is parsed.
absl::Status CheckRepeated(const RequestBody& body, int number, size_t limit, std::string_view name);
grpc::ByteBuffer Serialize(const google::protobuf::MessageLite& message);

// A GetResponse. A value of some size is not copied: the buffer refers to the entry, and keeps it, until it is sent.
// `incarnation`: of this replica; 0: not told.
grpc::ByteBuffer SerializeAnswer(GetAnswer answer, uint64_t incarnation = 0);

// A BatchGetResponse of at most `max_bytes`: hits that do not fit are marked STATUS_RETRY. Values as above.
grpc::ByteBuffer SerializeBatch(std::vector<BatchGetItem> items, size_t max_bytes, uint64_t incarnation = 0);

// The commands view the messages, which must outlive them. INVALID_ARGUMENT where a condition is set to false.
absl::StatusOr<SetCommand> ToCommand(const v1::SetRequest& request);
absl::StatusOr<GetCommand> ToCommand(const v1::GetRequest& request);
SetCommand ToCommand(const v1::WarmRequest& request);
TouchCommand ToCommand(const v1::TouchRequest& request);
absl::StatusOr<ReleaseCommand> ToCommand(const v1::ReleaseRequest& request);
absl::StatusOr<InvalidateCommand> ToCommand(const v1::InvalidateRequest& request);
absl::StatusOr<BatchGetCommand> ToCommand(const v1::BatchGetRequest& request);

// INVALID_ARGUMENT naming `read_from` if it is not known.
absl::StatusOr<bool> IsFromStore(v1::ReadFrom read_from);

// INVALID_ARGUMENT naming `mode` if it is not known.
absl::StatusOr<bool> IsSoft(v1::InvalidationMode mode);
absl::StatusOr<bool> IsStrong(v1::Consistency consistency);

v1::WarmProgress ToMessage(const EntryWarmProgress& progress, bool finished);

}  // namespace larder

#endif  // LARDER_SERVER_RPC_WIRE_H_
