// Words for errors that travel in the headers of an answer, and so must stay small and printable.
#ifndef LARDER_SERVER_POLICY_WORDS_H_
#define LARDER_SERVER_POLICY_WORDS_H_

#include <string>
#include <string_view>
#include <vector>

namespace larder {

// What a caller sent, between quotation marks, escaped, cut where it is long.
std::string QuoteCallers(std::string_view text);

// The names with commas between them, the first few of many; `none` where there is none.
std::string ListNames(const std::vector<std::string_view>& names);

}  // namespace larder

#endif  // LARDER_SERVER_POLICY_WORDS_H_
