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

// Fewer keys, or others, may be taken. A namespace or a deadline that is refused is so for each of them.
bool RefusedForKeys(const absl::Status& status) {
  return absl::IsInvalidArgument(status) && !absl::StartsWith(status.message(), "namespace") &&
         !absl::StartsWith(status.message(), "deadline");
}

std::vector<std::string> TakeAfter(size_t count, std::vector<std::string>* keys) {
  const auto end = keys->begin() + static_cast<std::ptrdiff_t>(count);
  std::vector<std::string> after(std::make_move_iterator(end), std::make_move_iterator(keys->end()));
  keys->erase(end, keys->end());
  return after;
}

// Halves what is refused, down to the keys that are at fault.
absl::Status Drop(Cache& cache, std::vector<std::string> keys, const CallOptions& options) {
  absl::Status status = cache.Invalidate({.keys = keys}, options).status();
  if (keys.size() == 1 || !RefusedForKeys(status)) return status;
  std::vector<std::string> second = TakeAfter(keys.size() / 2, &keys);
  status = Drop(cache, std::move(keys), options);
  status.Update(Drop(cache, std::move(second), options));
  return status;
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

absl::Status InvalidateAll(Cache& cache, Invalidation what, const CallOptions& options) {
  if (what.all) return cache.Invalidate({.all = true}, options).status();  // the keys are in it
  absl::Status first;
  while (!what.keys.empty()) {
    std::vector<std::string> left = TakeAfter(std::min(what.keys.size(), kMaxKeysOfOneCall), &what.keys);
    first.Update(Drop(cache, std::move(what.keys), options));
    what.keys = std::move(left);
  }
  return first;
}

}  // namespace larder::internal
