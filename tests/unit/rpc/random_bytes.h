// Encoded messages as nobody would write them, from a seed.
#ifndef LARDER_TESTS_UNIT_RPC_RANDOM_BYTES_H_
#define LARDER_TESTS_UNIT_RPC_RANDOM_BYTES_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <random>
#include <string>

namespace larder {

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}

  uint64_t Bits() { return engine_(); }
  // 0 .. limit - 1.
  size_t Below(size_t limit) { return static_cast<size_t>(engine_() % limit); }
  bool OneIn(size_t n) { return Below(n) == 0; }
  std::string Bytes(size_t size);
  // Up to 70 bytes that are text, or nearly.
  std::string Text();

 private:
  std::mt19937_64 engine_;
};

// A varint, now and then longer than it need be, or too long.
std::string RandomVarint(uint64_t value, Random& random);
// With its length in front, which now and then is a lie.
std::string RandomDelimited(const std::string& bytes, Random& random);

// Some field. Where `nested` is given, what is length-delimited is mostly what it makes.
std::string RandomField(uint32_t highest_field, const std::function<std::string()>& nested, Random& random);

// What is done to one encoding in two: it is cut, a byte is changed, or one is added.
std::string Spoilt(std::string bytes, Random& random);

}  // namespace larder

#endif  // LARDER_TESTS_UNIT_RPC_RANDOM_BYTES_H_
