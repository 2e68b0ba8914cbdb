#include "core/pattern.h"

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace larder {
namespace {

constexpr uint64_t kLowBits = 0x7f7f7f7f7f7f7f7f;
constexpr uint64_t kWild = 0x0101010101010101 * static_cast<unsigned char>('?');

uint64_t EightBytes(const char* at) {
  uint64_t bytes;
  std::memcpy(&bytes, at, sizeof(bytes));
  return bytes;
}

// The highest bit of each byte that is not zero. No carry leaves its byte, so there are no false ones.
uint64_t NonZeroBytes(uint64_t bytes) { return (((bytes & kLowBits) + kLowBits) | bytes) & ~kLowBits; }

// `run` has no `*`, and as many bytes at `text` are there.
bool RunMatches(std::string_view run, const char* text) {
  size_t i = 0;
  for (; i + sizeof(uint64_t) <= run.size(); i += sizeof(uint64_t)) {
    const uint64_t wanted = EightBytes(run.data() + i);
    if ((NonZeroBytes(wanted ^ EightBytes(text + i)) & NonZeroBytes(wanted ^ kWild)) != 0) return false;
  }
  for (; i < run.size(); ++i) {
    if (run[i] != '?' && run[i] != text[i]) return false;
  }
  return true;
}

// Where `run` first matches, or npos.
size_t FindRun(std::string_view run, std::string_view text) {
  if (run.empty()) return 0;
  for (size_t at = 0; at + run.size() <= text.size(); ++at) {
    if (run.front() != '?') {
      const size_t places = text.size() - run.size() + 1 - at;
      const void* first = std::memchr(text.data() + at, run.front(), places);
      if (first == nullptr) break;
      at = static_cast<size_t>(static_cast<const char*>(first) - text.data());
    }
    if (RunMatches(run, text.data() + at)) return at;
  }
  return std::string_view::npos;
}

}  // namespace

bool MatchesPattern(std::string_view pattern, std::string_view text) {
  const size_t first_star = pattern.find('*');
  if (first_star == std::string_view::npos) return pattern.size() == text.size() && RunMatches(pattern, text.data());

  const size_t last_star = pattern.rfind('*');
  const std::string_view head = pattern.substr(0, first_star);
  const std::string_view tail = pattern.substr(last_star + 1);
  if (text.size() < head.size() + tail.size()) return false;
  if (!RunMatches(head, text.data())) return false;
  if (!RunMatches(tail, text.data() + text.size() - tail.size())) return false;

  text = text.substr(head.size(), text.size() - head.size() - tail.size());
  size_t begin = first_star + 1;
  while (begin <= last_star) {
    const size_t end = pattern.find('*', begin);  // the last star at the latest
    const std::string_view run = pattern.substr(begin, end - begin);
    const size_t at = FindRun(run, text);
    if (at == std::string_view::npos) return false;
    text.remove_prefix(at + run.size());
    begin = end + 1;
  }
  return true;
}

std::string_view LiteralPrefix(std::string_view pattern) { return pattern.substr(0, pattern.find_first_of("*?")); }

bool IsPrefixPattern(std::string_view pattern) {
  return !pattern.empty() && pattern.find_first_of("*?") == pattern.size() - 1 && pattern.back() == '*';
}

}  // namespace larder
