#include "server/config/text.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace larder {
namespace {

constexpr size_t kMaxQuotedBytes = 80;
constexpr size_t kMaxComparedBytes = 64;

// Letters to insert, remove or exchange to make one word of the other.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t exchanged = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({exchanged, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string Quote(std::string_view text) {
  const bool cut = text.size() > kMaxQuotedBytes;
  const std::string shown = absl::CHexEscape(std::string(text.substr(0, kMaxQuotedBytes)));
  return absl::StrCat("\"", shown, cut ? "…\"" : "\"");
}

std::string PathName(const std::string& name) {
  const std::string quoted = Quote(name);
  return name.empty() || quoted.size() != name.size() + 2 ? quoted : name;
}

std::string DidYouMean(std::string_view word, const std::vector<std::string>& candidates) {
  if (word.size() > kMaxComparedBytes) return "";
  const std::string* best = nullptr;
  size_t best_distance = 0;
  for (const std::string& candidate : candidates) {
    const size_t distance = EditDistance(word, candidate);
    if (distance <= 3 && 2 * distance < candidate.size() && (best == nullptr || distance < best_distance)) {
      best = &candidate;
      best_distance = distance;
    }
  }
  return best == nullptr ? "" : absl::StrCat("; did you mean \"", *best, "\"?");
}

std::string MaskPassword(std::string_view url) {
  const size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return std::string(url);
  const size_t start = scheme + 3;
  // The last @ ends the user's part, so that a password with an @ or a slash of its own is hidden whole.
  const size_t at = url.rfind('@');
  if (at == std::string_view::npos || at < start) return std::string(url);
  const size_t colon = url.find(':', start);
  if (colon == std::string_view::npos || colon > at) return std::string(url);
  return absl::StrCat(std::string(url.substr(0, colon + 1)), "***", std::string(url.substr(at)));
}

}  // namespace larder
