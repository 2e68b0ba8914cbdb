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
#include <vector>

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
    kStale,   // it was cached and is stale: another caller is loading it anew, or loading failed
    kLoader,  // this call's loader was run, and gave the value or the failure
    kJoined,  // another call's loader was waited for; `read` is what became of that call's read
  };

  Source source = Source::kCache;
  // What became of the read; not OK: the cache could not be asked, or held no such type.
  absl::Status read;
  // Why the loader, this call's or that of the call that was joined, could not load a newer value, where the cached one
  // was returned instead.
  absl::Status load_error;
  // What became of the write of what was loaded, where there was one; or why there was none, where a cached value was
  // of no use and could not be replaced. OK too if somebody else had stored a value meanwhile.
  absl::Status write;
  bool stored = false;  // what this call's loader gave is cached
};

struct LoadOptions {
  // As in CallOptions; of each read and each write by itself, and not of waiting for others, which is `max_wait`.
  std::string name_space = {};
  std::chrono::milliseconds deadline{0};
  // For a T that is a std::optional: how long the loader's "there is none" is cached. None: it is not.
  std::optional<Ttl> absent_ttl = {};
  // As in SetOptions, of what is loaded. Looked at when the loader has returned, which may still add to the tags.
  std::vector<std::string> tags = {};
  std::optional<std::chrono::milliseconds> stale_for = {};
  bool sliding = false;
  // True: what another call of this object is reading or loading just now is waited for and taken, although another
  // process may have written the key since that call began; and near tiers may answer.
  // False: the read is this call's own and goes to the store itself, so that it reflects every write that was
  // acknowledged, to anyone, before the call. What it waits for in the service does so too.
  bool near = true;
  // A stale value is none: it is waited for, or loaded.
  bool fresh_only = false;
  // How long to wait for another call's loader, be that in this object, in another process, or in one after the other;
  // from the call's start on. 0: not at all.
  std::chrono::milliseconds max_wait{10000};
  // Filled in before the call returns; null: nobody asks.
  LoadReport* report = nullptr;
};

namespace internal {

// What a loader gave, as bytes. Absent: none, and no content type.
struct Loaded {
  std::string bytes = {};
  std::string content_type = {};
  bool absent = false;
};

// A value, or that there is none.
struct Known {
  Value value = {};
  bool absent = false;
  // How long it lives on in the cache before it is stale; a value that was just loaded has no end that counts.
  std::chrono::milliseconds left = std::chrono::milliseconds::max();
};

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
    if (!value.has_value()) return Loaded{.absent = true};
    return EncodeLoaded<typename T::value_type>(*value);
  } else {
    absl::StatusOr<Encoded> encoded = Encode<T>(value);
    if (!encoded.ok()) return encoded.status();
    return Loaded{std::move(encoded->bytes), std::move(encoded->content_type), false};
  }
}

template <typename T>
absl::StatusOr<T> DecodeKnown(std::string_view key, const Known& known) {
  if constexpr (IsOptional<T>::value) {
    if (known.absent) return T();
    absl::StatusOr<typename T::value_type> decoded = Decode<typename T::value_type>(key, known.value);
    if (!decoded.ok()) return decoded.status();
    return T(*std::move(decoded));
  } else {
    if (known.absent) return absl::NotFoundError("known to be absent");
    return Decode<T>(key, known.value);
  }
}

}  // namespace internal
}  // namespace larder

#endif  // LARDER_LOAD_H_
