#include "tests/bench/service/values.h"

#include <cstring>

#include "tests/bench/service/key_choice.h"

namespace larder::bench {
namespace {

constexpr size_t kStarts = size_t{64} << 10;  // places of the text at which a tail may begin

// One to one, so that no two keys share it.
uint64_t MarkOf(uint64_t key) { return Random(key).Next(); }

}  // namespace

// By hand, as it is done for each of up to a million calls a second.
std::string KeyText(uint64_t key) {
  std::string text = "key:000000000000";
  for (size_t at = kKeyBytes; key > 0 && at > 4; key /= 10) text[--at] = static_cast<char>('0' + key % 10);
  return text;
}

Values::Values(size_t value_bytes) : value_bytes_(value_bytes) {
  Random random(value_bytes);
  text_.reserve(value_bytes + kStarts);
  while (text_.size() < value_bytes + kStarts) text_.push_back(static_cast<char>(random.Next() >> 56));
}

std::string_view Values::Tail(uint64_t mark) const {
  return std::string_view(text_).substr(mark % kStarts, value_bytes_ - sizeof(mark));
}

std::string Values::Of(uint64_t key) const {
  const uint64_t mark = MarkOf(key);
  std::string value(reinterpret_cast<const char*>(&mark), sizeof(mark));
  value.append(Tail(mark));
  return value;
}

bool Values::Matches(uint64_t key, std::string_view value) const {
  const uint64_t mark = MarkOf(key);
  return value.size() == value_bytes_ && std::memcmp(value.data(), &mark, sizeof(mark)) == 0 &&
         value.substr(sizeof(mark)) == Tail(mark);
}

}  // namespace larder::bench
