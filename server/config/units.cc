#include "server/config/units.h"

#include <array>
#include <limits>
#include <optional>

#include "absl/strings/str_cat.h"
#include "server/config/text.h"

namespace larder {
namespace {

struct Unit {
  std::string_view name;
  int64_t size;
};

// Rising, so that a formatter takes the last that fits.
constexpr std::array<Unit, 5> kDurationUnits = {
    {{"ms", 1}, {"s", 1'000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}}};
constexpr std::array<Unit, 4> kSizeUnits = {
    {{"", 1}, {"KiB", int64_t{1} << 10}, {"MiB", int64_t{1} << 20}, {"GiB", int64_t{1} << 30}}};

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
constexpr size_t kMaxDecimals = 6;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// A decimal number as a fraction of whole numbers, so that `1.5s` is exactly 1,500 ms.
struct Decimal {
  int64_t digits = 0;
  int64_t scale = 1;  // a power of ten
};

// Takes a number off the front of `text`.
std::optional<Decimal> TakeNumber(std::string_view& text) {
  Decimal number;
  size_t at = 0;
  const auto take_digits = [&](bool decimals) {
    const size_t start = at;
    for (; at < text.size() && IsDigit(text[at]); ++at) {
      const int digit = text[at] - '0';
      if (number.digits > (kMax - digit) / 10 || (decimals && at - start >= kMaxDecimals)) return false;
      number.digits = number.digits * 10 + digit;
      if (decimals) number.scale *= 10;
    }
    return at > start;
  };
  if (!take_digits(false)) return std::nullopt;
  if (at < text.size() && text[at] == '.') {
    ++at;
    if (!take_digits(true)) return std::nullopt;
  }
  text.remove_prefix(at);
  return number;
}

// Takes a unit's name off the front of `text`: everything up to the next digit.
template <size_t kCount>
const Unit* TakeUnit(std::string_view& text, const std::array<Unit, kCount>& units) {
  size_t end = 0;
  while (end < text.size() && !IsDigit(text[end])) ++end;
  const std::string_view name = text.substr(0, end);
  for (const Unit& unit : units) {
    if (unit.name == name) {
      text.remove_prefix(end);
      return &unit;
    }
  }
  return nullptr;
}

// number * unit, if that is a whole number that 64 bits hold.
std::optional<int64_t> Multiply(const Decimal& number, int64_t unit) {
  if (number.digits > kMax / unit) return std::nullopt;
  const int64_t product = number.digits * unit;
  if (product % number.scale != 0) return std::nullopt;
  return product / number.scale;
}

bool IsNumber(std::string_view text) { return TakeNumber(text).has_value() && text.empty(); }

template <size_t kCount>
std::string Format(int64_t amount, const std::array<Unit, kCount>& units, const Unit& zero) {
  const Unit* best = amount == 0 ? &zero : &units.front();
  for (const Unit& unit : units) {
    if (amount != 0 && amount % unit.size == 0) best = &unit;
  }
  return absl::StrCat(amount / best->size, std::string(best->name));
}

}  // namespace

absl::StatusOr<int64_t> ParseDuration(std::string_view text) {
  if (text == "0") return 0;
  if (IsNumber(text)) {
    return absl::InvalidArgumentError(
        absl::StrCat(Quote(text), " has no unit; write for example ", std::string(text), "s"));
  }
  const auto refuse = [text] {
    return absl::InvalidArgumentError(
        absl::StrCat(Quote(text), " is not a duration; write for example 250ms, 5s, 5m, 1h or 7d"));
  };
  int64_t sum = 0;
  std::string_view rest = text;
  do {
    const std::optional<Decimal> number = TakeNumber(rest);
    if (!number.has_value()) return refuse();
    const Unit* unit = TakeUnit(rest, kDurationUnits);
    if (unit == nullptr) return refuse();
    const std::optional<int64_t> part = Multiply(*number, unit->size);
    if (!part.has_value() || *part > kMax - sum) return refuse();
    sum += *part;
  } while (!rest.empty());
  return sum;
}

absl::StatusOr<int64_t> ParseDurationOrSeconds(std::string_view text) {
  return ParseDuration(IsNumber(text) ? std::string(text) + "s" : std::string(text));
}

absl::StatusOr<int64_t> ParseBytes(std::string_view text) {
  std::string_view rest = text;
  const std::optional<Decimal> number = TakeNumber(rest);
  const Unit* unit = number.has_value() ? TakeUnit(rest, kSizeUnits) : nullptr;
  const std::optional<int64_t> bytes = unit != nullptr && rest.empty() ? Multiply(*number, unit->size) : std::nullopt;
  if (bytes.has_value()) return *bytes;
  return absl::InvalidArgumentError(
      absl::StrCat(Quote(text), " is not a size; write bytes, or for example 64KiB, 256MiB or 1GiB"));
}

std::string FormatDuration(int64_t milliseconds) { return Format(milliseconds, kDurationUnits, kDurationUnits[1]); }

std::string FormatBytes(int64_t bytes) { return Format(bytes, kSizeUnits, kSizeUnits[0]); }

}  // namespace larder
