// The right to fill a key, as it travels.
#ifndef LARDER_SERVER_RPC_FILL_TOKEN_H_
#define LARDER_SERVER_RPC_FILL_TOKEN_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "server/store/store.h"

namespace larder {

// Three numbers of eight bytes, the highest first: token, generation, epoch. To clients it is opaque.
std::string EncodeFillToken(const FillToken& token);

// INVALID_ARGUMENT naming `lease` if the bytes are not one.
absl::StatusOr<FillToken> DecodeFillToken(std::string_view bytes);

}  // namespace larder

#endif  // LARDER_SERVER_RPC_FILL_TOKEN_H_
