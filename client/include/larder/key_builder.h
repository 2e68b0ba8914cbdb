// Keys of a canonical form, from a prefix and named parameters.
#ifndef LARDER_KEY_BUILDER_H_
#define LARDER_KEY_BUILDER_H_

#include <charconv>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <ratio>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "larder/export.h"

namespace larder {

namespace internal {

// A null pointer would be a text that is not there.
template <typename T>
concept KeyText = std::convertible_to<const T&, std::string_view> && !std::same_as<T, std::nullptr_t>;

// Characters of wide encodings are left out: whether they are numbers or text is anybody's guess.
template <typename T>
concept KeyNumber = std::integral<T> && !std::same_as<T, wchar_t> && !std::same_as<T, char8_t> &&
                    !std::same_as<T, char16_t> && !std::same_as<T, char32_t>;

template <typename T>
inline constexpr bool kIsKeyDuration = false;
template <std::integral Rep, typename Period>
inline constexpr bool kIsKeyDuration<std::chrono::duration<Rep, Period>> =
    std::ratio_divide<Period, std::nano>::den == 1;  // no finer than a nanosecond

template <typename T>
concept KeyScalar = KeyText<T> || KeyNumber<T> || std::floating_point<T> || std::is_enum_v<T> || kIsKeyDuration<T> ||
    std::same_as<T, std::chrono::year_month_day> || std::same_as<T, std::chrono::sys_days>;

template <typename T>
inline constexpr bool kIsKeyList = false;
template <KeyScalar T, typename Allocator>
inline constexpr bool kIsKeyList<std::vector<T, Allocator>> = true;

template <typename T>
inline constexpr bool kIsKeyOptional = false;
template <typename T>
inline constexpr bool kIsKeyOptional<std::optional<T>> = KeyScalar<T> || kIsKeyList<T>;

// The text of a value, escaped.
LARDER_EXPORT std::string EscapedKeyText(std::string_view text);
LARDER_EXPORT std::string DateKeyText(std::chrono::year_month_day date);
// `nanos` counts up from `seconds` and is under a second.
LARDER_EXPORT std::string DurationKeyText(int64_t seconds, int64_t nanos);

// -0 is 0, and all NaNs are one.
template <std::floating_point T>
std::string FloatingKeyText(T value) {
  if (value != value) return "nan";
  char text[64];  // the longest, of a long double, has 29 characters
  const std::to_chars_result end = std::to_chars(text, text + sizeof(text), value == 0 ? T{0} : value);
  return std::string(text, end.ptr);
}

template <KeyScalar T>
std::string ScalarKeyText(const T& value) {
  if constexpr (KeyText<T>) {
    return EscapedKeyText(value);
  } else if constexpr (std::is_same_v<T, bool>) {
    return value ? "true" : "false";
  } else if constexpr (std::is_same_v<T, char>) {
    return EscapedKeyText({&value, 1});
  } else if constexpr (std::is_integral_v<T>) {
    return std::to_string(value);
  } else if constexpr (std::is_floating_point_v<T>) {
    return FloatingKeyText(value);
  } else if constexpr (std::is_enum_v<T>) {
    return std::to_string(static_cast<std::underlying_type_t<T>>(value));
  } else if constexpr (kIsKeyDuration<T>) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(value);
    return DurationKeyText(seconds.count(), std::chrono::nanoseconds(value - seconds).count());
  } else {
    return DateKeyText(value);
  }
}

template <typename T>
std::string ListKeyText(const T& values) {
  std::string text = "[";
  for (const typename T::value_type& value : values) (text += ScalarKeyText<typename T::value_type>(value)) += ',';
  return text += ']';
}

}  // namespace internal

// What may be a parameter of a key:
//   bool, integers, enums (as their number), floating-point numbers; a char is a text of one character;
//   text: whatever converts to a std::string_view;
//   std::chrono durations of whole ticks, none finer than a nanosecond; year_month_day and sys_days;
//   a std::vector of these, whose order counts; a std::optional of any of the above.
template <typename T>
concept KeyParameter = internal::KeyScalar<T> || internal::kIsKeyList<T> || internal::kIsKeyOptional<T>;

// Builds a key in one canonical form whatever the order of the calls:
//
//   KeyBuilder("availability").With("staff", 3).With("day", date).Page(2, 50).Scope("ada").Build()
//   == "availability?day=2026-05-01&staff=3#2,50@ada"
//
//   key       = prefix [ "?" parameter *( "&" parameter ) ] [ "#" number "," size ] [ "@" user ]
//   parameter = name "=" ( value / "[" *( value "," ) "]" )      sorted by name, then by value, as bytes
//
// All text is printable ASCII: letters, digits and `-_.~:/+` stand for themselves, any other byte is `%` and two
// upper-case hexadecimal digits. So `*` and `?` never stand in a value, and what comes from outside can imitate neither
// a parameter nor a user.
//
// Inputs that differ give keys that differ. Inputs are equal where they have the same prefix, page and user, and the
// same names with the same values as often; a value is what it reads as: 3, int64_t{3} and "3" are one value, 3 and {3}
// are two. A std::optional without a value is as good as not given; an empty text is a value.
//
// A form of over `max_bytes` becomes `prefix?!hash[@user]`, where the hash is the SHA-256 of the whole form, in 64
// hexadecimal digits; of prefix and user as much is kept as fits. `!` stands in no other key.
//
// Not thread-safe.
class LARDER_EXPORT KeyBuilder {
 public:
  // What the service takes at most.
  static constexpr size_t kMaxBytes = 512;
  static constexpr size_t kMinMaxBytes = 128;

  // A `max_bytes` out of kMinMaxBytes to kMaxBytes is taken for the nearer of the two.
  explicit KeyBuilder(std::string_view prefix, size_t max_bytes = kMaxBytes);

  // A name given again is one more parameter, and does not replace the first.
  template <typename T>
  KeyBuilder& With(std::string_view name, const T& value);

  // The last one counts.
  KeyBuilder& Page(uint64_t number, uint64_t size);

  // Whose entry it is: it is read under no other user's key, nor under the key that has none. An empty user is one too.
  // The last one counts.
  KeyBuilder& Scope(std::string_view user);

  // Never empty unless the prefix and all else are; an empty key is refused by the cache.
  std::string Build() const;

 private:
  KeyBuilder& AddText(std::string_view name, std::string text);

  const size_t max_bytes_;
  std::string prefix_;
  std::vector<std::pair<std::string, std::string>> parameters_;
  std::string page_;  // with its separator; empty: none
  std::string user_;  // the same
};

template <typename T>
KeyBuilder& KeyBuilder::With(std::string_view name, const T& value) {
  static_assert(KeyParameter<T>,
                "a parameter of a key is a bool, number, enum, text, std::chrono duration or date, a std::vector of "
                "these, or a std::optional of one of them");
  if constexpr (internal::kIsKeyOptional<T>) {
    return value.has_value() ? With(name, *value) : *this;
  } else if constexpr (internal::kIsKeyList<T>) {
    return AddText(name, internal::ListKeyText(value));
  } else if constexpr (internal::KeyScalar<T>) {
    return AddText(name, internal::ScalarKeyText(value));
  } else {
    return *this;
  }
}

}  // namespace larder

#endif  // LARDER_KEY_BUILDER_H_
