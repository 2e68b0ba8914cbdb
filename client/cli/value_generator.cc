#include "client/cli/value_generator.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/cli/text.h"

namespace larder {
namespace {

constexpr double kDefaultLognormalMax = 1 << 20;

// A bijection of 64 bits whose output passes for random, so that neighbouring ids have nothing in common.
uint64_t Scramble(uint64_t x) {
  x = (x ^ (x >> 32)) * 0xD6E8FEB86659FD93u;
  x = (x ^ (x >> 32)) * 0xD6E8FEB86659FD93u;
  return x ^ (x >> 32);
}

// The `index`-th random word of an object. Words 0 and 1 decide the size, the rest are the bytes.
uint64_t WordOf(uint32_t id, uint64_t index) {
  return Scramble(Scramble(uint64_t{id} + 1) + (index + 1) * 0x9E3779B97F4A7C15u);
}

// Uniform over the open interval (0, 1).
double UnitOf(uint64_t word) { return (static_cast<double>(word >> 11) + 0.5) * 0x1.0p-53; }

std::optional<double> ParseNumber(std::string_view text) {
  double number = 0;
  if (!absl::SimpleAtod(std::string(text), &number) || !std::isfinite(number)) return std::nullopt;
  return number;
}

std::optional<double> ParseSize(std::string_view text) {
  uint32_t size = 0;
  if (!absl::SimpleAtoi(std::string(text), &size) || size > ValueGenerator::kMaxValueBytes) return std::nullopt;
  return size;
}

struct Range {
  double min;
  double max;
};

std::optional<Range> ParseRange(std::string_view text) {
  const std::vector<std::string> ends = absl::StrSplit(std::string(text), '-');
  if (ends.size() != 2) return std::nullopt;
  const std::optional<double> min = ParseSize(ends[0]);
  const std::optional<double> max = ParseSize(ends[1]);
  if (!min.has_value() || !max.has_value() || *min > *max) return std::nullopt;
  return Range{*min, *max};
}

using Sizes = std::function<double(double, double)>;

Sizes ParseFixed(const std::vector<std::string>& arguments) {
  const std::optional<double> size = arguments.size() == 1 ? ParseSize(arguments[0]) : std::nullopt;
  if (!size.has_value()) return nullptr;
  return [size = *size](double, double) { return size; };
}

Sizes ParseUniform(const std::vector<std::string>& arguments) {
  const std::optional<Range> range = arguments.size() == 1 ? ParseRange(arguments[0]) : std::nullopt;
  if (!range.has_value()) return nullptr;
  return [r = *range](double u, double) { return std::min(r.max, r.min + std::floor(u * (r.max - r.min + 1))); };
}

Sizes ParseLognormal(const std::vector<std::string>& arguments) {
  if (arguments.size() != 2 && arguments.size() != 3) return nullptr;
  const std::optional<double> mu = ParseNumber(arguments[0]);
  const std::optional<double> sigma = ParseNumber(arguments[1]);
  const std::optional<double> max = arguments.size() == 3 ? ParseSize(arguments[2]) : kDefaultLognormalMax;
  if (!mu.has_value() || !sigma.has_value() || *sigma < 0 || !max.has_value() || *max < 1) return nullptr;
  return [mu = *mu, sigma = *sigma, max = *max](double u, double v) {
    const double normal = std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * v);
    return std::clamp(std::round(std::exp(mu + sigma * normal)), 1.0, max);
  };
}

Sizes ParsePareto(const std::vector<std::string>& arguments) {
  if (arguments.size() != 2) return nullptr;
  const std::optional<double> alpha = ParseNumber(arguments[0]);
  const std::optional<Range> range = ParseRange(arguments[1]);
  if (!alpha.has_value() || *alpha <= 0 || !range.has_value() || range->min < 1) return nullptr;
  // The inverse of the distribution function, cut off at the upper bound.
  return [alpha = *alpha, r = *range](double u, double) {
    const double share_below_max = 1 - std::pow(r.min / r.max, alpha);
    return std::clamp(std::floor(r.min / std::pow(1 - u * share_below_max, 1 / alpha)), r.min, r.max);
  };
}

}  // namespace

absl::StatusOr<ValueGenerator> ValueGenerator::Parse(std::string_view text) {
  const size_t colon = std::min(text.find(':'), text.size());
  const std::string_view name = text.substr(0, colon);
  const std::vector<std::string> arguments =
      absl::StrSplit(std::string(colon < text.size() ? text.substr(colon + 1) : ""), ',');
  Sizes sizes;
  if (name == "fixed") sizes = ParseFixed(arguments);
  if (name == "uniform") sizes = ParseUniform(arguments);
  if (name == "lognormal") sizes = ParseLognormal(arguments);
  if (name == "pareto") sizes = ParsePareto(arguments);
  if (sizes == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(Quoted(text),
                                                   " is not fixed:N, uniform:MIN-MAX, lognormal:MU,SIGMA[,MAX] or ",
                                                   "pareto:ALPHA,MIN-MAX with sizes up to ", kMaxValueBytes, " bytes"));
  }
  return ValueGenerator(std::move(sizes));
}

size_t ValueGenerator::SizeOf(uint32_t id) const {
  return static_cast<size_t>(sizes_(UnitOf(WordOf(id, 0)), UnitOf(WordOf(id, 1))));
}

void ValueGenerator::Generate(uint32_t id, std::string* value) const {
  value->resize(SizeOf(id));
  for (size_t at = 0, index = 2; at < value->size(); at += sizeof(uint64_t), ++index) {
    const uint64_t word = WordOf(id, index);
    std::memcpy(value->data() + at, &word, std::min(sizeof(word), value->size() - at));
  }
}

bool ValueGenerator::Matches(uint32_t id, std::string_view value) const {
  if (value.size() != SizeOf(id)) return false;
  for (size_t at = 0, index = 2; at < value.size(); at += sizeof(uint64_t), ++index) {
    const uint64_t word = WordOf(id, index);
    if (std::memcmp(value.data() + at, &word, std::min(sizeof(word), value.size() - at)) != 0) return false;
  }
  return true;
}

}  // namespace larder
