// Helpers for messages about text that somebody wrote.
#ifndef LARDER_SERVER_CONFIG_TEXT_H_
#define LARDER_SERVER_CONFIG_TEXT_H_

#include <string>
#include <string_view>
#include <vector>

namespace larder {

// The text between quotation marks, in one line, cut where it is long.
std::string Quote(std::string_view text);

// A name as it stands in a path: as it is, or quoted where it is no plain word.
std::string PathName(const std::string& name);

// `; did you mean "x"?` with the candidate that is a slip of the pen away from `word`, or nothing.
std::string DidYouMean(std::string_view word, const std::vector<std::string>& candidates);

// The URL with its password, if it has one, shown as `***`.
std::string MaskPassword(std::string_view url);

}  // namespace larder

#endif  // LARDER_SERVER_CONFIG_TEXT_H_
