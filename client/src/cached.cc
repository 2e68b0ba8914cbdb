#include "larder/cached.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <string_view>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/src/quote.h"
#include "larder/invalidating.h"

namespace larder::internal {
namespace {

// No namespace takes more.
constexpr size_t kMaxKeysOfOneCall = 1000;
constexpr size_t kMaxGroupsOfOneCall = 100;
constexpr size_t kMaxTags = 32;  // of one entry

// Fewer keys, or others, may be taken. A namespace or a deadline that is refused is so for each of them.
bool RefusedForKeys(const absl::Status& status) {
  return absl::IsInvalidArgument(status) && !absl::StartsWith(status.message(), "namespace") &&
         !absl::StartsWith(status.message(), "deadline");
}

template <typename T>
std::vector<T> TakeFirst(size_t at_most, std::vector<T>* from) {
  const auto end = from->begin() + static_cast<std::ptrdiff_t>(std::min(at_most, from->size()));
  std::vector<T> first(std::make_move_iterator(from->begin()), std::make_move_iterator(end));
  from->erase(from->begin(), end);
  return first;
}

// Halves what is refused, down to the keys that are at fault.
absl::Status Drop(Cache& cache, std::vector<std::string> keys, InvalidationMode mode, const CallOptions& options) {
  absl::Status status = cache.Invalidate({.keys = keys, .mode = mode}, options).status();
  if (keys.size() == 1 || !RefusedForKeys(status)) return status;
  std::vector<std::string> first = TakeFirst(keys.size() / 2, &keys);
  status = Drop(cache, std::move(first), mode, options);
  status.Update(Drop(cache, std::move(keys), mode, options));
  return status;
}

// One that is refused keeps none of the other kinds: each goes in calls of its own.
absl::Status DropGroups(Cache& cache, Invalidation what, const CallOptions& options) {
  absl::Status first;
  const auto drop = [&](Invalidation part) {
    part.mode = what.mode;
    first.Update(cache.Invalidate(std::move(part), options).status());
  };
  while (!what.tags.empty()) drop({.tags = TakeFirst(kMaxGroupsOfOneCall, &what.tags)});
  while (!what.patterns.empty()) drop({.patterns = TakeFirst(kMaxGroupsOfOneCall, &what.patterns)});
  while (!what.entities.empty()) drop({.entities = TakeFirst(kMaxGroupsOfOneCall, &what.entities)});
  return first;
}

}  // namespace

absl::Status CheckKeyOptions(const CachedOptions& options, size_t arguments) {
  if (options.prefix.empty()) return absl::InvalidArgumentError("prefix: is empty; each cached function needs its own");
  if (options.names.empty()) return absl::OkStatus();
  if (options.names.size() != arguments) {
    return absl::InvalidArgumentError(
        absl::StrCat("names: ", options.names.size(), " are given to a function of ", arguments, " arguments"));
  }
  std::set<std::string_view> different;
  for (const std::string& name : options.names) {
    if (different.insert(name).second) continue;
    return absl::InvalidArgumentError(absl::StrCat("names: ", Quoted(name), " is given twice"));
  }
  return absl::OkStatus();
}

std::vector<std::string> ArgumentNames(const std::vector<std::string>& names, size_t arguments) {
  if (!names.empty()) return names;
  std::vector<std::string> positions;
  for (size_t i = 0; i < arguments; ++i) positions.push_back(std::to_string(i));
  return positions;
}

absl::Status CheckTagOptions(const CachedOptions& options, const std::vector<bool>& usable) {
  for (const InvalidateOn& on : options.invalidate_on) {
    if (absl::Status status = on.Check(usable); !status.ok()) return status;
  }
  const size_t tags = options.tags.size() + 2 * options.invalidate_on.size();
  if (tags <= kMaxTags) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("tags: ", tags, " with those of invalidate_on, the limit is ", kMaxTags));
}

absl::Status InvalidateAll(Cache& cache, Invalidation what, const CallOptions& options) {
  if (what.all) return cache.Invalidate({.all = true, .mode = what.mode}, options).status();  // the rest is in it
  std::vector<std::string> keys = std::move(what.keys);
  const InvalidationMode mode = what.mode;
  absl::Status first = DropGroups(cache, std::move(what), options);
  while (!keys.empty()) first.Update(Drop(cache, TakeFirst(kMaxKeysOfOneCall, &keys), mode, options));
  return first;
}

}  // namespace larder::internal
