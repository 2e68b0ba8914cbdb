// How GetOrLoad behaves, and what it tells besides the value.
#ifndef LARDER_LOAD_H_
#define LARDER_LOAD_H_

#include <chrono>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "larder/calls.h"
#include "larder/codec.h"
#include "larder/export.h"
#include "larder/ttl.h"
#include "larder/value.h"

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
  // True: what another call of this object is reading or loading just now is waited for and taken, although another
  // process may have written the key since that call began; and near tiers may answer.
  // False: the read is this call's own and goes to the store itself, so that it reflects every write that was
  // acknowledged, to anyone, before the call; where it finds nothing, this call's own loader runs.
  bool near = true;
  // How long to wait for another call's loader.
  std::chrono::milliseconds max_wait{10000};
  // Filled in before the call returns; null: nobody asks.
  LoadReport* report = nullptr;
};

// Whether a value says that there is none: what GetOrLoad caches for a loader's "there is none". To a plain Get it is a
// hit of no bytes.
LARDER_EXPORT bool IsKnownAbsent(const Value& value);

namespace internal {

// What a loader gave, as bytes.
struct Loaded {
  std::string bytes;
  std::string content_type;
  bool absent = false;
};

// The cached form of "known to be absent": no bytes, and this content type.
inline constexpr std::string_view kAbsence = "application/vnd.larder.absent";

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
    absl::StatusOr<Encoded> encoded = Encode<T>(value);
    if (!encoded.ok()) return encoded.status();
    return Loaded{std::move(encoded->bytes), std::move(encoded->content_type), false};
  }
}

template <typename T>
absl::StatusOr<T> DecodeLoaded(std::string_view key, const Value& value) {
  if constexpr (IsOptional<T>::value) {
    if (IsKnownAbsent(value)) return T();
    absl::StatusOr<typename T::value_type> decoded = Decode<typename T::value_type>(key, value);
    if (!decoded.ok()) return decoded.status();
    return T(*std::move(decoded));
  } else {
    if (IsKnownAbsent(value)) return absl::NotFoundError("known to be absent");
    return Decode<T>(key, value);
  }
}

}  // namespace internal
}  // namespace larder

#endif  // LARDER_LOAD_H_
