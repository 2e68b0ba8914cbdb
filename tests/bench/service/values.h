// Keys, and the values that belong to them.
#ifndef LARDER_TESTS_BENCH_SERVICE_VALUES_H_
#define LARDER_TESTS_BENCH_SERVICE_VALUES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace larder::bench {

inline constexpr size_t kKeyBytes = 16;

// As redis-benchmark names its keys: `key:` and twelve digits.
std::string KeyText(uint64_t key);

// A value follows from its key alone, so that every answer can be checked without a copy of what was stored: eight
// bytes that no other key has, and a piece of random text. Thread-safe.
class Values {
 public:
  explicit Values(size_t value_bytes);  // at least 8

  size_t value_bytes() const { return value_bytes_; }
  std::string Of(uint64_t key) const;
  // Is this the key's value, byte for byte?
  bool Matches(uint64_t key, std::string_view value) const;

 private:
  // All but the first eight bytes.
  std::string_view Tail(uint64_t mark) const;

  const size_t value_bytes_;
  std::string text_;
};

}  // namespace larder::bench

#endif  // LARDER_TESTS_BENCH_SERVICE_VALUES_H_
