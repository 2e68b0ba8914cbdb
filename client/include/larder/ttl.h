// How long an entry is to live.
#ifndef LARDER_TTL_H_
#define LARDER_TTL_H_

#include <chrono>
#include <cstddef>
#include <ratio>
#include <string>
#include <string_view>
#include <utility>

namespace larder {

// A time to live, or the name of a TTL class of the namespace, or neither: the namespace's default. So a call takes
// `std::chrono::minutes(5)`, `"analytics"`, or `{}`. Whether it is in range is the service's to say (INVALID_ARGUMENT).
class Ttl {
 public:
  Ttl() = default;

  // Rounded up to the millisecond. 0 and less are refused by the service, as is what is too long for a millisecond
  // count.
  template <typename Rep, typename Period>
  Ttl(std::chrono::duration<Rep, Period> ttl)  // NOLINT: a duration is a TTL
      : kind_(Kind::kDuration), duration_(RoundedUp(ttl)) {}

  Ttl(std::string ttl_class) : kind_(Kind::kClass), ttl_class_(std::move(ttl_class)) {}  // NOLINT: a name is one too
  Ttl(std::string_view ttl_class) : Ttl(std::string(ttl_class)) {}                       // NOLINT
  Ttl(const char* ttl_class) : Ttl(std::string(ttl_class)) {}                            // NOLINT

  // A number has no unit, and 0 would pass for a name that is null.
  Ttl(int) = delete;             // NOLINT
  Ttl(std::nullptr_t) = delete;  // NOLINT

  bool is_default() const { return kind_ == Kind::kDefault; }
  bool is_class() const { return kind_ == Kind::kClass; }
  // Meaningful where it is neither the default nor a class.
  std::chrono::milliseconds duration() const { return duration_; }
  // Meaningful where it is a class.
  const std::string& ttl_class() const { return ttl_class_; }

 private:
  enum class Kind { kDefault, kDuration, kClass };

  // Far beyond what any service takes, and far from where a conversion overflows.
  static constexpr std::chrono::milliseconds kFarthest = std::chrono::hours(24) * 366 * 1'000;

  template <typename Rep, typename Period>
  static std::chrono::milliseconds RoundedUp(std::chrono::duration<Rep, Period> ttl) {
    const double estimate = std::chrono::duration<double, std::milli>(ttl).count();
    if (!(estimate > -static_cast<double>(kFarthest.count()))) return -kFarthest;  // or not a number
    if (estimate >= static_cast<double>(kFarthest.count())) return kFarthest;
    return std::chrono::ceil<std::chrono::milliseconds>(ttl);
  }

  Kind kind_ = Kind::kDefault;
  std::chrono::milliseconds duration_{0};
  std::string ttl_class_;
};

}  // namespace larder

#endif  // LARDER_TTL_H_
