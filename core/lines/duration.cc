#include "core/lines/duration.h"

#include <array>
#include <charconv>
#include <limits>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace larder {
namespace {

// Deadlines are computed in nanoseconds.
constexpr int64_t kMaxMillis = std::numeric_limits<int64_t>::max() / 1'000'000;

struct Unit {
  std::string_view name;
  int64_t millis;
};
constexpr std::array<Unit, 5> kUnits = {{{"ms", 1}, {"s", 1'000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}}};

std::optional<int64_t> UnitMillis(std::string_view name) {
  for (const Unit& unit : kUnits) {
    if (unit.name == name) return unit.millis;
  }
  return std::nullopt;
}

absl::Status Refusal(std::string_view text, std::string_view reason) {
  return absl::InvalidArgumentError(
      absl::StrCat("\"", absl::CHexEscape(std::string(text)), "\" ", std::string(reason)));
}

}  // namespace

absl::StatusOr<int64_t> ParseDurationMillis(std::string_view text) {
  constexpr std::string_view kForm = "is not a duration such as 250ms, 5m or 1h30m (units: ms, s, m, h, d)";
  int64_t total = 0;
  std::string_view rest = text;
  if (rest.empty()) return Refusal(text, kForm);
  while (!rest.empty()) {
    if (rest.front() < '0' || rest.front() > '9') return Refusal(text, kForm);
    int64_t number = 0;
    const auto parsed = std::from_chars(rest.data(), rest.data() + rest.size(), number);
    if (parsed.ec != std::errc()) return Refusal(text, "is too long a duration");
    rest.remove_prefix(static_cast<size_t>(parsed.ptr - rest.data()));
    const size_t unit_size = std::min(rest.find_first_of("0123456789"), rest.size());
    const std::optional<int64_t> unit = UnitMillis(rest.substr(0, unit_size));
    if (!unit.has_value()) return Refusal(text, kForm);
    rest.remove_prefix(unit_size);
    if (number > (kMaxMillis - total) / *unit) return Refusal(text, "is too long a duration");
    total += number * *unit;
  }
  if (total == 0) return Refusal(text, "is no time at all");
  return total;
}

}  // namespace larder
