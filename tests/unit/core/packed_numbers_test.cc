#include "core/packed_numbers.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>

namespace larder {
namespace {

TEST(PackedNumbersTest, TheWidthIsThatOfTheNumberWithoutLeadingZeros) {
  EXPECT_EQ(PackedWidth(0), 0u);
  EXPECT_EQ(PackedWidth(1), 1u);
  EXPECT_EQ(PackedWidth(0xff), 1u);
  EXPECT_EQ(PackedWidth(0x100), 2u);
  for (size_t width = 1; width <= 8; ++width) {
    const uint64_t largest = UINT64_MAX >> (64 - 8 * width);
    EXPECT_EQ(PackedWidth(largest), width);
    EXPECT_EQ(PackedWidth(largest / 2 + 1), width);
  }
}

// Nothing beside a number is written, and nothing beside it is taken for a part of it.
TEST(PackedNumbersTest, ANumberComesBackFromItsBytesAlone) {
  for (const uint64_t number : {uint64_t{0}, uint64_t{1}, uint64_t{0xfe}, uint64_t{0x1234}, uint64_t{1} << 31,
                                uint64_t{0x123456789a}, UINT64_MAX - 1}) {
    for (size_t width = PackedWidth(number); width <= 8; ++width) {
      std::array<char, 24> bytes;
      bytes.fill('\xa5');
      char* end = bytes.data() + 16;
      StorePacked(end, width, number);
      EXPECT_EQ(LoadPacked(end, width), number) << width;
      EXPECT_EQ(bytes[16], '\xa5');
      EXPECT_EQ(bytes[15 - width], '\xa5');
    }
  }
}

TEST(PackedShapeTest, EachNumberEndsWhereTheOnesBeforeItAndItselfDo) {
  PackedShape shape;
  EXPECT_EQ(shape.size(), 0u);
  const std::array<size_t, PackedShape::kNumbers> widths = {8, 0, 3, 8, 1, 7};
  for (size_t i = 0; i < widths.size(); ++i) shape.set_width(i, widths[i]);
  size_t end = 0;
  for (size_t i = 0; i < widths.size(); ++i) {
    end += widths[i];
    EXPECT_EQ(shape.width(i), widths[i]);
    EXPECT_EQ(shape.EndOf(i), end) << i;
  }
  EXPECT_EQ(shape.size(), end);
}

TEST(PackedShapeTest, AllMayBeEightBytes) {
  PackedShape shape;
  for (size_t i = 0; i < PackedShape::kNumbers; ++i) shape.set_width(i, 8);
  for (size_t i = 0; i < PackedShape::kNumbers; ++i) EXPECT_EQ(shape.EndOf(i), 8 * (i + 1));
}

TEST(PackedShapeTest, FlagsAndWidthsLeaveEachOtherAlone) {
  PackedShape shape;
  for (size_t i = 0; i < PackedShape::kNumbers; ++i) shape.set_width(i, i);
  for (size_t flag = 0; flag < 8; ++flag) {
    shape.set_flag(flag, true);
    for (size_t other = 0; other < 8; ++other) EXPECT_EQ(shape.flag(other), other == flag);
    for (size_t i = 0; i < PackedShape::kNumbers; ++i) EXPECT_EQ(shape.width(i), i);
    EXPECT_EQ(shape.size(), 15u);
    shape.set_flag(flag, false);
  }
  shape.set_flag(0, true);
  shape.set_width(2, 8);
  shape.set_width(2, 1);
  EXPECT_EQ(shape.width(2), 1u);
  EXPECT_TRUE(shape.flag(0));
}

}  // namespace
}  // namespace larder
