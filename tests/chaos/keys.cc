#include "tests/chaos/keys.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace larder::chaos {
namespace {

constexpr size_t kPadding = 64;

static_assert(kSoftKeys <= 10, "a soft key has one digit, which a soft pattern goes by");

}  // namespace

std::string KeyName(int key) { return absl::StrCat("g", key % kPatterns, ":k", key); }
std::string TagName(int tag) { return absl::StrCat("t", tag); }
std::string PatternText(int pattern) { return absl::StrCat("g", pattern, ":*"); }
std::string SoftTagName(int tag) { return absl::StrCat("s", tag); }
std::string SoftPatternText(int pattern) { return absl::StrCat("g", pattern, ":k?"); }

std::vector<std::string> TagsOf(int key) {
  std::vector<std::string> tags = {TagName(key % kTags)};
  if (key < kSoftKeys) tags.push_back(SoftTagName(key % kSoftTags));
  return tags;
}

std::string ValueText(int key, uint64_t value) {
  return absl::StrCat(key, ":", value, ":", std::string(kPadding, 'v'));
}

uint64_t ParseValue(int key, const std::string& text) {
  const std::vector<std::string> parts = absl::StrSplit(text, ':');
  uint64_t value = 0;
  const bool whole = parts.size() == 3 && parts[0] == absl::StrCat(key) && absl::SimpleAtoi(parts[1], &value) &&
                     parts[2] == std::string(kPadding, 'v');
  return whole && value != 0 ? value : kNobodys;
}

}  // namespace larder::chaos
