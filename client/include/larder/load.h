// How GetOrLoad behaves, and what it tells besides the value.
#ifndef LARDER_LOAD_H_
#define LARDER_LOAD_H_

#include <chrono>
#include <exception>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "larder/calls.h"
#include "larder/codec.h"
#include "larder/export.h"

namespace larder {

// What GetOrLoad did.
struct LoadReport {
  enum class Source {
    kCache,   // the value was cached
    kLoader,  // this call's loader was run
    kJoined,  // another call's loader was waited for; `read` is what became of that call's read
  };

  Source source = Source::kCache;
  // What became of the read; not OK: the cache could not be asked, or held no such type.
  absl::Status read;
  // What became of the write of what was loaded, where there was one. OK too if somebody else had stored a value
  // meanwhile.
  absl::Status write;
  bool stored = false;  // what this call's loader gave is cached
};

struct LoadOptions {
  // As in CallOptions.
  std::string name_space = {};
  std::chrono::milliseconds deadline{0};
  // For a T that is a std::optional: how long the loader's "there is none" is cached. None: it is not.
  std::optional<Ttl> absent_ttl = {};
  // False: the read goes to the store itself, past all near tiers, and no load is waited for whose read did not.
  bool near = true;
  // How long to wait for another call's loader.
  std::chrono::milliseconds max_wait{10000};
  // Filled in before the call returns; null: nobody asks.
  LoadReport* report = nullptr;
};

namespace internal {

// What a loader gave, as bytes.
struct Loaded {
  std::string bytes;
  std::string content_type;
  bool absent = false;
};

// The cached form of "known to be absent": no bytes, and this content type.
inline constexpr std::string_view kAbsence = "application/vnd.larder.absent";
LARDER_EXPORT bool IsAbsence(const Value& value);

template <typename T>
struct IsOptional : std::false_type {};
template <typename U>
struct IsOptional<std::optional<U>> : std::true_type {};

// The loader's answer; an exception that leaves it becomes a status.
template <typename T, typename Loader>
absl::StatusOr<T> RunLoader(Loader& loader) {
  try {
    return loader();
  } catch (const std::exception& e) {
    return absl::InternalError(std::string("the loader threw: ") + e.what());
  } catch (...) {
    return absl::InternalError("the loader threw what is no std::exception");
  }
}

template <typename T>
absl::StatusOr<Loaded> EncodeLoaded(const T& value) {
  if constexpr (IsOptional<T>::value) {
    if (!value.has_value()) return Loaded{{}, std::string(kAbsence), true};
    return EncodeLoaded<typename T::value_type>(*value);
  } else {
    absl::StatusOr<std::string> bytes = Encode<T>(value);
    if (!bytes.ok()) return bytes.status();
    return Loaded{*std::move(bytes), ContentType<T>(), false};
  }
}

template <typename T>
absl::StatusOr<T> DecodeLoaded(std::string_view key, const Value& value) {
  if constexpr (IsOptional<T>::value) {
    if (IsAbsence(value)) return T();
    absl::StatusOr<typename T::value_type> decoded = Decode<typename T::value_type>(key, value);
    if (!decoded.ok()) return decoded.status();
    return T(*std::move(decoded));
  } else {
    if (IsAbsence(value)) return absl::NotFoundError("known to be absent");
    return Decode<T>(key, value);
  }
}

}  // namespace internal
}  // namespace larder

#endif  // LARDER_LOAD_H_
