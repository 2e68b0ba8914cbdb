#ifndef LARDER_CLIENT_SRC_NEAR_KEY_TEXT_H_
#define LARDER_CLIENT_SRC_NEAR_KEY_TEXT_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "client/src/near_tier.h"

namespace larder::internal {

// NearKey() for as long as a look takes: without an allocation, where both are no longer than the service allows.
class NearKeyText {
 public:
  NearKeyText(std::string_view name_space, std::string_view key) {
    const size_t size = name_space.size() + 1 + key.size();
    if (size > bytes_.size()) {
      longer_ = NearKey(name_space, key);
      text_ = longer_;
      return;
    }
    char* end = std::copy(name_space.begin(), name_space.end(), bytes_.data());
    *end++ = '\0';
    std::copy(key.begin(), key.end(), end);
    text_ = {bytes_.data(), size};
  }
  NearKeyText(const NearKeyText&) = delete;
  NearKeyText& operator=(const NearKeyText&) = delete;

  // Valid while this lives.
  std::string_view text() const { return text_; }

 private:
  static constexpr size_t kLongest = 63 + 1 + 512;

  std::array<char, kLongest> bytes_;  // written only as far as they are used
  std::string longer_;
  std::string_view text_;
};

}  // namespace larder::internal

#endif  // LARDER_CLIENT_SRC_NEAR_KEY_TEXT_H_
