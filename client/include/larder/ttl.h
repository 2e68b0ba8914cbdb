// How long an entry is to live.
#ifndef LARDER_TTL_H_
#define LARDER_TTL_H_

#include <chrono>
#include <string>
#include <string_view>
#include <utility>

namespace larder {

// A time to live, or the name of a TTL class of the namespace, or neither: the namespace's default. So a call takes
// `std::chrono::minutes(5)`, `"analytics"`, or `{}`. Whether it is in range is the service's to say (INVALID_ARGUMENT).
class Ttl {
 public:
  Ttl() = default;

  // Rounded up to the millisecond. 0 and less are refused by the service.
  template <typename Rep, typename Period>
  Ttl(std::chrono::duration<Rep, Period> ttl)  // NOLINT(runtime/explicit): a duration is a TTL
      : given_(true), duration_(std::chrono::ceil<std::chrono::milliseconds>(ttl)) {}

  Ttl(std::string ttl_class) : given_(true), ttl_class_(std::move(ttl_class)) {}  // NOLINT(runtime/explicit)
  Ttl(std::string_view ttl_class) : Ttl(std::string(ttl_class)) {}                // NOLINT(runtime/explicit)
  Ttl(const char* ttl_class) : Ttl(std::string(ttl_class)) {}                     // NOLINT(runtime/explicit)

  bool is_default() const { return !given_; }
  bool is_class() const { return given_ && duration_ == kNone; }
  // Meaningful where it is neither the default nor a class.
  std::chrono::milliseconds duration() const { return duration_; }
  // Meaningful where it is a class.
  const std::string& ttl_class() const { return ttl_class_; }

 private:
  static constexpr std::chrono::milliseconds kNone = std::chrono::milliseconds::min();

  bool given_ = false;
  std::chrono::milliseconds duration_ = kNone;
  std::string ttl_class_;
};

}  // namespace larder

#endif  // LARDER_TTL_H_
