#ifndef LARDER_CLIENT_SRC_SHA256_H_
#define LARDER_CLIENT_SRC_SHA256_H_

#include <string>
#include <string_view>

namespace larder::internal {

// 64 lower-case hexadecimal digits.
std::string Sha256Hex(std::string_view text);

}  // namespace larder::internal

#endif  // LARDER_CLIENT_SRC_SHA256_H_
