// Functions whose results are cached, and functions that drop what they make stale.
#ifndef LARDER_CACHED_H_
#define LARDER_CACHED_H_

#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "larder/cache.h"
#include "larder/calls.h"
#include "larder/entity.h"
#include "larder/export.h"
#include "larder/key_builder.h"
#include "larder/load.h"
#include "larder/ttl.h"

namespace larder {

struct CachedOptions {
  // Of the keys. Must be given; two functions of one namespace need two. Not looked at with KeyedBy.
  std::string prefix = {};
  Ttl ttl = {};
  // For results that are a std::optional: how long "there is none" is cached. None: it is not.
  std::optional<Ttl> absent_ttl = {};
  // Of the arguments, as they appear in the keys: one different name for each. None: they are called "0", "1", … . Not
  // looked at with KeyedBy.
  std::vector<std::string> names = {};
  // See KeyBuilder; where the namespace's `max_key_bytes` is less, give that. Not looked at with KeyedBy.
  size_t max_key_bytes = KeyBuilder::kMaxBytes;
  // What makes results stale, besides their age: see larder/entity.h. Up to 16, with `tags` fewer.
  std::vector<InvalidateOn> invalidate_on = {};
  // Of every result, as in SetOptions. Each of `invalidate_on` adds two; 32 in all.
  std::vector<std::string> tags = {};
  // As in LoadOptions.
  std::optional<std::chrono::milliseconds> stale_for = {};
  bool sliding = false;
  std::string name_space = {};
  std::chrono::milliseconds deadline{0};
  std::chrono::milliseconds max_wait{10000};
  bool near = true;
  bool fresh_only = false;
  // Called after each call that had a key, on its thread, with what became of it.
  std::function<void(std::string_view key, const LoadReport& report)> report = {};
};

// The user whose results they are, from the arguments: a std::string, or a std::optional of one where some results are
// everybody's. See KeyBuilder::Scope.
template <typename Function>
struct ScopedBy {
  explicit ScopedBy(Function f) : function(std::move(f)) {}
  Function function;
};

// The whole key, from the arguments, where they are no parameters of a KeyBuilder or not all of them matter.
template <typename Function>
struct KeyedBy {
  explicit KeyedBy(Function f) : function(std::move(f)) {}
  Function function;
};

namespace internal {

template <typename T>
struct FunctionType;
template <typename Result, typename... Args>
struct FunctionType<std::function<Result(Args...)>> {
  using Type = Result(Args...);
};

// Not satisfied by an overloaded or generic function.
template <typename Function>
concept HasOneType = requires(Function f) {
  std::function(f);
};

template <typename Function>
using TypeOf = typename FunctionType<decltype(std::function(std::declval<Function>()))>::Type;

// INVALID_ARGUMENT, naming the option, where keys made with it would not tell functions or arguments apart.
LARDER_EXPORT absl::Status CheckKeyOptions(const CachedOptions& options, size_t arguments);

// INVALID_ARGUMENT, naming the option. `usable`: which arguments a field of an entity may be.
LARDER_EXPORT absl::Status CheckTagOptions(const CachedOptions& options, const std::vector<bool>& usable);

// What an argument may be to InvalidateOn::Field.
template <typename T>
inline constexpr bool kIsFieldValue = KeyScalar<T>;
template <typename T>
inline constexpr bool kIsFieldValue<std::optional<T>> = KeyScalar<T>;

// Its text; none if it has no value, or may be no field.
template <typename T>
std::optional<std::string> FieldText(const T& argument) {
  if constexpr (KeyScalar<T>) return ScalarKeyText(argument);
  return std::nullopt;
}
template <typename T>
std::optional<std::string> FieldText(const std::optional<T>& argument) {
  return argument.has_value() ? FieldText(*argument) : std::nullopt;
}

// `names`, or positions if there are none.
LARDER_EXPORT std::vector<std::string> ArgumentNames(const std::vector<std::string>& names, size_t arguments);

// Key functions. Each is called with the options, the arguments' names, and the arguments. `kUsesOptions`: the key is
// made of the prefix and the names.
struct KeyedByArguments {
  static constexpr bool kUsesOptions = true;
  template <typename... Args>
  KeyBuilder Builder(const CachedOptions& options, const std::vector<std::string>& names, const Args&... args) const {
    KeyBuilder builder(options.prefix, options.max_key_bytes);
    size_t i = 0;
    (builder.With(names[i++], args), ...);
    return builder;
  }
  template <typename... Args>
  std::string operator()(const CachedOptions& options, const std::vector<std::string>& names,
                         const Args&... args) const {
    static_assert((KeyParameter<Args> && ...),
                  "an argument of the function is no parameter of a key (see larder/key_builder.h): give Cached a "
                  "larder::KeyedBy that makes the key");
    return Builder(options, names, args...).Build();
  }
};

template <typename Function>
struct KeyedByArgumentsAndUser {
  static constexpr bool kUsesOptions = true;
  template <typename... Args>
  std::string operator()(const CachedOptions& options, const std::vector<std::string>& names,
                         const Args&... args) const {
    static_assert((KeyParameter<Args> && ...),
                  "an argument of the function is no parameter of a key (see larder/key_builder.h): give Cached a "
                  "larder::KeyedBy that makes the key, and puts the user into it");
    static_assert(std::is_invocable_v<const Function&, const Args&...>,
                  "the function in ScopedBy must take the cached function's arguments");
    KeyBuilder builder = KeyedByArguments().Builder(options, names, args...);
    const std::optional<std::string> user = function(args...);
    if (user.has_value()) builder.Scope(*user);
    return builder.Build();
  }
  Function function;
};

template <typename Function>
struct KeyedByFunction {
  static constexpr bool kUsesOptions = false;
  template <typename... Args>
  std::string operator()(const CachedOptions& /*options*/, const std::vector<std::string>& /*names*/,
                         const Args&... args) const {
    static_assert(std::is_invocable_r_v<std::string, const Function&, const Args&...>,
                  "the function in KeyedBy must take the cached function's arguments and return the key");
    return function(args...);
  }
  Function function;
};

// What `make` returns; an exception that leaves it becomes a status.
template <typename Result, typename Make>
absl::StatusOr<Result> Caught(std::string_view who, Make&& make) {
  try {
    return make();
  } catch (const std::exception& e) {
    return absl::InternalError(std::string(who) + " threw: " + e.what());
  } catch (...) {
    return absl::InternalError(std::string(who) + " threw what is no std::exception");
  }
}

}  // namespace internal

template <typename T, typename KeyFunction, typename Function, typename Type = internal::TypeOf<Function>>
class CachedFunction;

// A function and the cache of its results; made by Cached. As thread-safe as the function, which runs on the calling
// thread; copied as the function is. The cache must outlive it.
template <typename T, typename KeyFunction, typename Function, typename Result, typename... Args>
class CachedFunction<T, KeyFunction, Function, Result(Args...)> {
  static_assert(std::is_invocable_v<const Function&, Args...>,
                "the function must be callable as const: calls come from several threads");
  static_assert(std::is_convertible_v<Result, absl::StatusOr<T>>, "the function must return T or absl::StatusOr<T>");

 public:
  CachedFunction(Cache& cache, CachedOptions options, KeyFunction key_function, Function function)
      : cache_(&cache),
        options_(std::move(options)),
        names_(internal::ArgumentNames(options_.names, sizeof...(Args))),
        refusal_(Check(options_)),
        key_function_(std::move(key_function)),
        function_(std::move(function)) {}

  // The cached result, or that of the function, which is then cached: all as GetOrLoad does it. The cached function is
  // not called where the options make no keys or tags (INVALID_ARGUMENT, naming the option), or the function that makes
  // the key or the user threw (INTERNAL).
  absl::StatusOr<T> operator()(Args... args) const {
    if (!refusal_.ok()) return refusal_;
    const absl::StatusOr<std::string> key =
        internal::Caught<std::string>("the key function", [&] { return Key(args...); });
    if (!key.ok()) return key.status();
    LoadReport report;
    LoadOptions options;
    options.name_space = options_.name_space;
    options.deadline = options_.deadline;
    options.absent_ttl = options_.absent_ttl;
    options.stale_for = options_.stale_for;
    options.sliding = options_.sliding;
    options.near = options_.near;
    options.fresh_only = options_.fresh_only;
    options.max_wait = options_.max_wait;
    options.report = &report;
    // Tags are made where they are needed, and before the function may take its arguments away.
    const auto load = [&]() -> absl::StatusOr<T> {
      options.tags = Tags(args...);
      return function_(std::forward<Args>(args)...);
    };
    absl::StatusOr<T> result = cache_->GetOrLoad<T>(*key, options_.ttl, load, options);
    if (options_.report) options_.report(*key, report);
    return result;
  }

  // What the result for these arguments is cached under: to be invalidated, or warmed. Empty, which no cache takes,
  // where the options make no keys.
  std::string Key(const std::remove_cvref_t<Args>&... args) const {
    return refusal_.ok() ? key_function_(options_, names_, args...) : std::string();
  }

  // The tags that the result for these arguments is cached with: for those who Set or warm it themselves. None where
  // the options are refused.
  std::vector<std::string> Tags(const std::remove_cvref_t<Args>&... args) const {
    if (!refusal_.ok()) return {};
    std::vector<std::string> tags = options_.tags;
    if (options_.invalidate_on.empty()) return tags;
    const std::vector<std::optional<std::string>> texts = {internal::FieldText(args)...};
    for (const InvalidateOn& on : options_.invalidate_on) on.AppendTags(texts, &tags);
    return tags;
  }

 private:
  static absl::Status Check(const CachedOptions& options) {
    absl::Status status =
        KeyFunction::kUsesOptions ? internal::CheckKeyOptions(options, sizeof...(Args)) : absl::OkStatus();
    status.Update(internal::CheckTagOptions(options, {internal::kIsFieldValue<std::remove_cvref_t<Args>>...}));
    return status;
  }

  Cache* cache_;
  CachedOptions options_;
  std::vector<std::string> names_;
  absl::Status refusal_;
  KeyFunction key_function_;
  Function function_;
};

// Wraps `function` so that its results are cached:
//
//   auto price = larder::Cached<Price>(cache, {.prefix = "price", .ttl = "static"},
//                                      [&](int product, const std::string& currency) { return db.Price(...); });
//   absl::StatusOr<Price> found = price(7, "EUR");
//   cache.Invalidate({.keys = {price.Key(7, "EUR")}});
//
// The function returns T or absl::StatusOr<T>, and is neither overloaded nor generic: calls convert to its own
// parameters first, so that a key does not depend on how an argument was written.
template <typename T, typename Function>
auto Cached(Cache& cache, CachedOptions options, Function function) {
  static_assert(internal::HasOneType<Function>, "give the function's parameters types; it must not be overloaded");
  using KeyFunction = internal::KeyedByArguments;
  return CachedFunction<T, KeyFunction, Function>(cache, std::move(options), {}, std::move(function));
}

// One user never reads another's entry.
template <typename T, typename User, typename Function>
auto Cached(Cache& cache, CachedOptions options, ScopedBy<User> user, Function function) {
  static_assert(internal::HasOneType<Function>, "give the function's parameters types; it must not be overloaded");
  using KeyFunction = internal::KeyedByArgumentsAndUser<User>;
  return CachedFunction<T, KeyFunction, Function>(cache, std::move(options), {std::move(user.function)},
                                                  std::move(function));
}

template <typename T, typename Make, typename Function>
auto Cached(Cache& cache, CachedOptions options, KeyedBy<Make> key, Function function) {
  static_assert(internal::HasOneType<Function>, "give the function's parameters types; it must not be overloaded");
  using KeyFunction = internal::KeyedByFunction<Make>;
  return CachedFunction<T, KeyFunction, Function>(cache, std::move(options), {std::move(key.function)},
                                                  std::move(function));
}

}  // namespace larder

#endif  // LARDER_CACHED_H_
