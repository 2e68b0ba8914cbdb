// Values and numbers as text.
#ifndef LARDER_CLIENT_CLI_TEXT_H_
#define LARDER_CLIENT_CLI_TEXT_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace larder {

// True if `bytes` are well-formed UTF-8: no overlong form, no surrogate, nothing past U+10FFFF.
bool IsUtf8(std::string_view bytes);

// In double quotes, with whatever does not print written as \xNN.
std::string Quoted(std::string_view bytes);

// `1,234,567`.
std::string WithCommas(uint64_t number);

// `512 B`, `1.5 KiB`.
std::string HumanBytes(double bytes);

// `870 us`, `1.25 ms`, `3.4 s`.
std::string HumanMicros(double micros);

// `450ms`, `4m59s`, `6d23h`: the two largest units.
std::string HumanMillis(int64_t millis);

}  // namespace larder

#endif  // LARDER_CLIENT_CLI_TEXT_H_
