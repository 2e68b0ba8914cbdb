// Patterns over keys.
#ifndef LARDER_CORE_PATTERN_H_
#define LARDER_CORE_PATTERN_H_

#include <string_view>

namespace larder {

// Whether all of `text` matches `pattern`: `*` stands for any bytes, none included, `?` for any one byte, everything
// else for itself. There is no escape.
//
// Time is at most proportional to pattern.size() * text.size(), eight bytes of the pattern being compared at once: what
// stands between two `*` is looked for once, at its first place after what came before, since a later one leaves less
// room for the rest. Takes no memory.
bool MatchesPattern(std::string_view pattern, std::string_view text);

// The bytes that every match begins with: up to the first wildcard.
std::string_view LiteralPrefix(std::string_view pattern);

// A prefix followed by one `*`, and so nothing but a prefix.
bool IsPrefixPattern(std::string_view pattern);

}  // namespace larder

#endif  // LARDER_CORE_PATTERN_H_
