// GetRequest and BatchGetRequest, read without their protobuf classes: the requests of the hot path.
#ifndef LARDER_SERVER_RPC_REQUEST_READER_H_
#define LARDER_SERVER_RPC_REQUEST_READER_H_

#include <string_view>

#include "absl/status/statusor.h"
#include "server/engine/commands.h"

namespace larder {

// Both take and refuse what protobuf's parser and ToCommand together do, with the same errors. The commands view the
// bytes, which must outlive them.

absl::StatusOr<GetCommand> ReadGetRequest(std::string_view bytes);

// Also INVALID_ARGUMENT naming `keys` and the limit where there are more than may be in any batch.
absl::StatusOr<BatchGetCommand> ReadBatchGetRequest(std::string_view bytes);

}  // namespace larder

#endif  // LARDER_SERVER_RPC_REQUEST_READER_H_
