// Values that can be told from one another and made again from the id of their object.
#ifndef LARDER_CLIENT_CLI_VALUE_GENERATOR_H_
#define LARDER_CLIENT_CLI_VALUE_GENERATOR_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"

namespace larder {

// Size and bytes of a value depend on its object's id and on the distribution alone, so that whatever a cache returns
// can be checked without remembering it. The bytes do not compress. Thread-safe.
class ValueGenerator {
 public:
  static constexpr size_t kMaxValueBytes = size_t{8} << 20;

  // A distribution of sizes in bytes:
  //   fixed:N                    all alike
  //   uniform:MIN-MAX            each size as often
  //   lognormal:MU,SIGMA[,MAX]   the size's natural logarithm is normal; clipped to 1..MAX (default 1048576)
  //   pareto:ALPHA,MIN-MAX       a power law between two bounds: many small ones, a few large ones
  // INVALID_ARGUMENT, quoting `text`, for anything else; no size may be over kMaxValueBytes.
  static absl::StatusOr<ValueGenerator> Parse(std::string_view text);

  size_t SizeOf(uint32_t id) const;

  // Overwrites `value`, keeping its memory.
  void Generate(uint32_t id, std::string* value) const;

  // True if `value` is what Generate makes for `id`.
  bool Matches(uint32_t id, std::string_view value) const;

 private:
  // A size from two independent numbers that are uniform over (0, 1).
  using Sizes = std::function<double(double, double)>;

  explicit ValueGenerator(Sizes sizes) : sizes_(std::move(sizes)) {}

  Sizes sizes_;
};

}  // namespace larder

#endif  // LARDER_CLIENT_CLI_VALUE_GENERATOR_H_
