#include "tests/unit/rpc/random_bytes.h"

#include <array>
#include <string_view>

namespace larder {
namespace {

// Sound and unsound: too long, surrogates, beyond the last character, cut off, a stray continuation.
constexpr std::array<std::string_view, 14> kPiecesOfText = {
    "a",    "default",  "\xc3\xa4",     "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf",
    "\x80", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82",         "\xff"};

std::string Varint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
  return out;
}

uint64_t RandomNumber(Random& random) {
  switch (random.Below(5)) {
    case 0:
      return random.Below(3);
    case 1:
      return random.Bits() >> random.Below(64);
    case 2:
      return ~uint64_t{0} - random.Below(3);
    case 3:
      return (uint64_t{1} << random.Below(64)) - random.Below(2);
    default:
      return uint64_t{1} << 32 | random.Below(3);  // the lower half is small
  }
}

std::string Group(uint32_t number, uint32_t highest_field, int depth, Random& random) {
  std::string out = RandomVarint(number << 3 | 3, random);
  if (depth > 0) out += Group(number, highest_field, depth - 1, random);
  while (random.OneIn(2)) out += RandomField(highest_field, nullptr, random);
  return out + RandomVarint((random.OneIn(20) ? number + 1 : number) << 3 | 4, random);
}

}  // namespace

std::string Random::Bytes(size_t size) {
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(engine_());
  return bytes;
}

std::string Random::Text() {
  // Most are sound, or hardly any message would be.
  const size_t kinds = OneIn(8) ? kPiecesOfText.size() : 7;
  std::string text;
  for (size_t i = Below(10); i > 0; --i) text += kPiecesOfText[Below(kinds)];
  return text;
}

std::string RandomVarint(uint64_t value, Random& random) {
  std::string out = Varint(value);
  if (!random.OneIn(12)) return out;
  for (size_t i = random.Below(11); i > 0; --i) {
    out.back() = static_cast<char>(out.back() | 0x80);
    out.push_back(random.OneIn(8) ? '\1' : '\0');
  }
  return out;
}

std::string RandomDelimited(const std::string& bytes, Random& random) {
  const uint64_t size = random.OneIn(50) ? RandomNumber(random) : bytes.size();
  return RandomVarint(size, random) + bytes;
}

std::string RandomField(uint32_t highest_field, const std::function<std::string()>& nested, Random& random) {
  uint32_t field = static_cast<uint32_t>(random.Below(highest_field) + 1);
  if (random.OneIn(40)) field = static_cast<uint32_t>(random.Bits() >> random.Below(64)) & 0x1fffffff;
  // Hardly a tag is its field's, if all wire types are as likely.
  const auto type = static_cast<uint32_t>(random.OneIn(6) ? random.Below(8) : random.OneIn(2) ? 0 : 2);
  const std::string tag = RandomVarint(uint64_t{field} << 3 | type, random);
  switch (type) {
    case 0:
      return tag + RandomVarint(RandomNumber(random), random);
    case 1:
      return tag + random.Bytes(8);
    case 2:
      if (nested && !random.OneIn(8)) return tag + RandomDelimited(nested(), random);
      return tag + RandomDelimited(random.OneIn(3) ? random.Bytes(random.Below(200)) : random.Text(), random);
    case 3:
      return Group(field, highest_field, random.OneIn(30) ? static_cast<int>(random.Below(110)) : 0, random);
    case 5:
      return tag + random.Bytes(4);
    default:
      return tag;
  }
}

std::string Spoilt(std::string bytes, Random& random) {
  if (bytes.empty() || random.OneIn(2)) return bytes;
  switch (random.Below(3)) {
    case 0:
      bytes.resize(random.Below(bytes.size()));
      break;
    case 1:
      bytes[random.Below(bytes.size())] = static_cast<char>(random.Bits());
      break;
    default:
      bytes.insert(random.Below(bytes.size()), random.Bytes(1));
  }
  return bytes;
}

}  // namespace larder
