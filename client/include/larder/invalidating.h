// Writes that drop from the cache what they make stale.
#ifndef LARDER_INVALIDATING_H_
#define LARDER_INVALIDATING_H_

#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "larder/cache.h"
#include "larder/cached.h"
#include "larder/calls.h"
#include "larder/export.h"

namespace larder {

// What a write that succeeded came to. It has happened, whatever `invalidation` says: where that is not OK, what the
// write made stale may be read until it expires or is invalidated after all. Repeating the write is not the cure.
template <typename R>
struct Written {
  R result;
  absl::Status invalidation;
};
template <>
struct Written<void> {
  absl::Status invalidation;
};

namespace internal {

// What a write returns, without its status.
template <typename Result>
struct WriteResult {
  using Type = Result;
};
template <typename R>
struct WriteResult<absl::StatusOr<R>> {
  using Type = R;
};
template <>
struct WriteResult<absl::Status> {
  using Type = void;
};

inline Invalidation AsInvalidation(Invalidation what) { return what; }
inline Invalidation AsInvalidation(std::vector<std::string> keys) { return {.keys = std::move(keys)}; }
inline Invalidation AsInvalidation(std::string key) { return {.keys = {std::move(key)}}; }

// Nothing to drop is OK, and no call. Tags, patterns, entities and keys go in calls of their own, and in several where
// they are more than a call takes; all of them are made. A key that is refused, under which nothing can be cached,
// keeps none of the others. The first failure is returned.
LARDER_EXPORT absl::Status InvalidateAll(Cache& cache, Invalidation what, const CallOptions& options);

struct FixedStale {
  Invalidation operator()() const { return what; }
  Invalidation what;
};

}  // namespace internal

template <typename Stale, typename Function, typename Type = internal::TypeOf<Function>>
class InvalidatingFunction;

// A write and what it makes stale; made by Invalidating. As thread-safe as its functions. The cache must outlive it.
template <typename Stale, typename Function, typename Result, typename... Args>
class InvalidatingFunction<Stale, Function, Result(Args...)> {
  using R = typename internal::WriteResult<std::remove_cv_t<Result>>::Type;
  using Held = std::conditional_t<std::is_void_v<R>, std::monostate, R>;

  static constexpr bool kFromResult =
      !std::is_void_v<R> && std::is_invocable_v<const Stale&, const Held&, const Args&...>;
  static constexpr bool kFromArguments = std::is_invocable_v<const Stale&, const Args&...>;
  static constexpr bool kFixed = std::is_same_v<Stale, internal::FixedStale>;

  static_assert(std::is_invocable_v<const Function&, Args&...>,
                "the write must be callable as const, and with arguments that are looked at again after it: it may not "
                "take them by rvalue reference, nor take by value what cannot be copied");
  static_assert(kFixed || kFromResult || kFromArguments,
                "what says which keys a write makes stale must be callable with the write's result and arguments, or "
                "with its arguments");

 public:
  InvalidatingFunction(Cache& cache, Function write, Stale stale, CallOptions options)
      : cache_(&cache), write_(std::move(write)), stale_(std::move(stale)), options_(std::move(options)) {}

  // Not OK: the write failed, this is its status (INTERNAL if it threw), and nothing was invalidated. A write that ends
  // so may yet have happened, at a deadline or where it threw after its commit: then invalidate what it would have made
  // stale. Takes the write's time, and the deadline of `options` for each call that invalidates.
  absl::StatusOr<Written<R>> operator()(Args... args) const {
    absl::StatusOr<Held> result = internal::Caught<Held>("the write", [&] { return Write(args...); });
    if (!result.ok()) return result.status();
    absl::StatusOr<Invalidation> what =
        internal::Caught<Invalidation>("what says which keys are stale", [&] { return What(*result, args...); });
    absl::Status invalidation =
        what.ok() ? internal::InvalidateAll(*cache_, *std::move(what), options_) : what.status();
    if constexpr (std::is_void_v<R>) {
      return Written<void>{std::move(invalidation)};
    } else {
      return Written<R>{*std::move(result), std::move(invalidation)};
    }
  }

 private:
  absl::StatusOr<Held> Write(Args&... args) const {
    if constexpr (std::is_void_v<Result>) {
      write_(args...);
      return Held();
    } else if constexpr (std::is_void_v<R>) {
      absl::Status status = write_(args...);
      if (!status.ok()) return status;
      return Held();
    } else {
      return write_(args...);
    }
  }

  Invalidation What(const Held& result, const Args&... args) const {
    if constexpr (kFixed) {
      return stale_();
    } else if constexpr (kFromResult) {
      return internal::AsInvalidation(stale_(result, args...));
    } else {
      return internal::AsInvalidation(stale_(args...));
    }
  }

  Cache* cache_;
  Function write_;
  Stale stale_;
  CallOptions options_;
};

// Wraps a write so that what it makes stale is invalidated after it has succeeded, and only then:
//
//   auto book = larder::Invalidating(
//       cache, [&](const Booking& b) { return db.Insert(b); },
//       [&](const Booking& b) { return std::vector<std::string>{availability.Key(b.staff, b.day)}; });
//   absl::StatusOr<larder::Written<int64_t>> written = book(booking);
//
// The write returns void, absl::Status, absl::StatusOr<R> or R. `stale` is called after it, with (result, arguments...)
// or (arguments...), and returns a key, keys, or an Invalidation, such as EntityChanged makes; or it is a list of keys
// or an Invalidation itself. What a write moved away from, an old day say, belongs into its result.
template <typename Function, typename Stale>
auto Invalidating(Cache& cache, Function write, Stale stale, CallOptions options = {}) {
  static_assert(internal::HasOneType<Function>, "give the write's parameters types; it must not be overloaded");
  return InvalidatingFunction<Stale, Function>(cache, std::move(write), std::move(stale), std::move(options));
}

template <typename Function>
auto Invalidating(Cache& cache, Function write, Invalidation stale, CallOptions options = {}) {
  return Invalidating(cache, std::move(write), internal::FixedStale{std::move(stale)}, std::move(options));
}

template <typename Function>
auto Invalidating(Cache& cache, Function write, std::vector<std::string> stale, CallOptions options = {}) {
  return Invalidating(cache, std::move(write), Invalidation{.keys = std::move(stale)}, std::move(options));
}

}  // namespace larder

#endif  // LARDER_INVALIDATING_H_
