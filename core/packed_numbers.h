// Numbers in as few bytes as they need, one after the other, and a word that says how many each takes.
#ifndef LARDER_CORE_PACKED_NUMBERS_H_
#define LARDER_CORE_PACKED_NUMBERS_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace larder {

static_assert(std::endian::native == std::endian::little, "the lowest byte of a number comes first");

// The bytes that a number needs; none for 0.
constexpr size_t PackedWidth(uint64_t number) { return (static_cast<size_t>(std::bit_width(number)) + 7) / 8; }

// The number of `width` bytes (0 to 8) that ends at `end`. The eight bytes before `end` are read, whatever its width.
inline uint64_t LoadPacked(const char* end, size_t width) {
  if (width == 0) return 0;
  uint64_t word = 0;
  std::memcpy(&word, end - sizeof(word), sizeof(word));
  return word >> (64 - 8 * width);
}

// Writes the lowest `width` bytes so that they end at `end`.
inline void StorePacked(char* end, size_t width, uint64_t number) { std::memcpy(end - width, &number, width); }

// How six numbers are packed, with eight flags, in 32 bits: four bits for the width of each.
class PackedShape {
 public:
  static constexpr size_t kNumbers = 6;

  size_t width(size_t i) const { return bits_ >> (4 * i) & 0xf; }
  void set_width(size_t i, size_t width) { bits_ = (bits_ & ~(uint32_t{0xf} << (4 * i))) | AtNumber(i, width); }

  // How far the number's end is from the beginning of the first: the sum of the widths up to its own.
  size_t EndOf(size_t i) const {
    constexpr uint32_t kEveryOther = 0x0f0f0f;
    const uint32_t upto = bits_ & (UINT32_MAX >> (28 - 4 * i));
    const uint32_t pairs = (upto & kEveryOther) + (upto >> 4 & kEveryOther);
    return pairs * 0x010101 >> 16 & 0xff;
  }
  size_t size() const { return EndOf(kNumbers - 1); }

  bool flag(size_t i) const { return (bits_ >> (kFirstFlag + i) & 1) != 0; }
  void set_flag(size_t i, bool value) {
    bits_ = (bits_ & ~(uint32_t{1} << (kFirstFlag + i))) | uint32_t{value} << (kFirstFlag + i);
  }

 private:
  static constexpr size_t kFirstFlag = 4 * kNumbers;
  static constexpr uint32_t AtNumber(size_t i, size_t width) { return static_cast<uint32_t>(width) << (4 * i); }

  uint32_t bits_ = 0;
};
static_assert(sizeof(PackedShape) == 4);

}  // namespace larder

#endif  // LARDER_CORE_PACKED_NUMBERS_H_
