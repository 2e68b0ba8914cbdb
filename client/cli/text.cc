#include "client/cli/text.h"

#include <array>
#include <cstddef>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace larder {
namespace {

// The length of the sequence at the start of `bytes` (which is not empty), or 0 if it is malformed.
size_t Utf8SequenceLength(std::string_view bytes) {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned char first = at(0);
  if (first < 0x80) return 1;
  if (first < 0xC2 || first > 0xF4) return 0;
  const size_t length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  if (bytes.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((at(i) & 0xC0) != 0x80) return 0;
  }
  // The second byte tells overlong forms (E0, F0), surrogates (ED) and what lies past the last code point (F4).
  if (first == 0xE0 && at(1) < 0xA0) return 0;
  if (first == 0xED && at(1) > 0x9F) return 0;
  if (first == 0xF0 && at(1) < 0x90) return 0;
  if (first == 0xF4 && at(1) > 0x8F) return 0;
  return length;
}

}  // namespace

bool IsUtf8(std::string_view bytes) {
  while (!bytes.empty()) {
    const size_t length = Utf8SequenceLength(bytes);
    if (length == 0) return false;
    bytes.remove_prefix(length);
  }
  return true;
}

std::string Quoted(std::string_view bytes) {
  const std::string text(bytes);
  return absl::StrCat("\"", IsUtf8(bytes) ? absl::Utf8SafeCHexEscape(text) : absl::CHexEscape(text), "\"");
}

std::string WithCommas(uint64_t number) {
  std::string text = std::to_string(number);
  for (size_t place = text.size(); place > 3;) {
    place -= 3;
    text.insert(place, ",");
  }
  return text;
}

std::string HumanBytes(double bytes) {
  constexpr std::array<const char*, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  while (bytes >= 1024 && unit + 1 < kUnits.size()) {
    bytes /= 1024;
    ++unit;
  }
  return unit == 0 ? absl::StrFormat("%.0f B", bytes) : absl::StrFormat("%.1f %s", bytes, kUnits[unit]);
}

std::string HumanMicros(double micros) {
  if (micros < 1e3) return absl::StrFormat("%.0f us", micros);
  if (micros < 1e6) return absl::StrFormat("%.2f ms", micros / 1e3);
  return absl::StrFormat("%.2f s", micros / 1e6);
}

std::string HumanMillis(int64_t millis) {
  struct Unit {
    const char* name;
    int64_t millis;
  };
  constexpr std::array<Unit, 5> kUnits = {
      {{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}}};
  for (size_t i = 0; i + 1 < kUnits.size(); ++i) {
    if (millis < kUnits[i].millis) continue;
    std::string text = absl::StrCat(millis / kUnits[i].millis, kUnits[i].name);
    const int64_t rest = millis % kUnits[i].millis / kUnits[i + 1].millis;
    if (rest > 0) absl::StrAppend(&text, rest, kUnits[i + 1].name);
    return text;
  }
  return absl::StrCat(millis, "ms");
}

}  // namespace larder
