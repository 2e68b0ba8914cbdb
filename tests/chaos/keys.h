// What stands under which keys, and in which groups.
#ifndef LARDER_TESTS_CHAOS_KEYS_H_
#define LARDER_TESTS_CHAOS_KEYS_H_

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace larder::chaos {

// The keys. Those below kSoftKeys are also invalidated as SOFT, by name and in groups of which no other is. The last
// kWarmedKeys are written by warm-ups, and invalidated in groups, alone: a warm-up is no older than the groups'
// invalidations since its start, of single keys it knows nothing (COHERENCE E4).
inline constexpr int kKeys = 48;
inline constexpr int kSoftKeys = 10;
inline constexpr int kWarmedKeys = 8;
inline constexpr int kFirstWarmed = kKeys - kWarmedKeys;

// A key has the tag and matches the pattern of its number modulo these.
inline constexpr int kTags = 6;
inline constexpr int kPatterns = 5;
inline constexpr int kSoftTags = 2;

inline constexpr int64_t kTtlMillis = 120'000;  // longer than any run
inline constexpr int64_t kShortTtlMillis = 3'000;

std::string KeyName(int key);
std::string TagName(int tag);
std::string PatternText(int pattern);
std::string SoftTagName(int tag);
// Matches the keys below kSoftKeys whose number modulo kPatterns that is.
std::string SoftPatternText(int pattern);
// All that an entry of the key is given.
std::vector<std::string> TagsOf(int key);

// What a Get was answered with that nobody may have written.
inline constexpr uint64_t kNobodys = std::numeric_limits<uint64_t>::max();

std::string ValueText(int key, uint64_t value);
// kNobodys for what is not of this key, or damaged.
uint64_t ParseValue(int key, const std::string& text);

}  // namespace larder::chaos

#endif  // LARDER_TESTS_CHAOS_KEYS_H_
