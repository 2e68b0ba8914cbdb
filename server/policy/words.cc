#include "server/policy/words.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace larder {
namespace {

constexpr size_t kMaxQuotedBytes = 63;
constexpr size_t kMaxListed = 16;

}  // namespace

std::string QuoteCallers(std::string_view text) {
  const bool cut = text.size() > kMaxQuotedBytes;
  return absl::StrCat("\"", absl::CHexEscape(std::string(text.substr(0, kMaxQuotedBytes))), cut ? "…\"" : "\"");
}

std::string ListNames(const std::vector<std::string_view>& names) {
  if (names.empty()) return "none";
  std::string list;
  for (size_t i = 0; i < names.size(); ++i) {
    if (i > 0) list += ", ";
    if (i == kMaxListed) return list + "…";
    list += names[i];
  }
  return list;
}

}  // namespace larder
