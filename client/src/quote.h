// Keys and other people's text, as messages repeat them.
#ifndef LARDER_CLIENT_SRC_QUOTE_H_
#define LARDER_CLIENT_SRC_QUOTE_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/strings/escaping.h"

namespace larder::internal {

inline constexpr size_t kMaxQuotedBytes = 63;

// In quotation marks, unprintable bytes as \xNN, cut to 63 bytes.
inline std::string Quoted(std::string_view text) {
  const bool cut = text.size() > kMaxQuotedBytes;
  return "\"" + absl::CHexEscape(std::string(text.substr(0, kMaxQuotedBytes))) + (cut ? "…\"" : "\"");
}

}  // namespace larder::internal

#endif  // LARDER_CLIENT_SRC_QUOTE_H_
