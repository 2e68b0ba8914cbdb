#include "larder/cached.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "larder/invalidating.h"

namespace larder::internal {
namespace {

constexpr size_t kMaxKeysOfOneCall = 1000;

}  // namespace

std::vector<std::string> ArgumentNames(const std::vector<std::string>& names, size_t arguments) {
  const std::set<std::string> different(names.begin(), names.end());
  if (names.size() == arguments && different.size() == arguments) return names;
  std::vector<std::string> positions;
  for (size_t i = 0; i < arguments; ++i) positions.push_back(std::to_string(i));
  return positions;
}

absl::Status InvalidateAll(Cache& cache, Invalidation what, const CallOptions& options) {
  if (what.keys.empty() && !what.all) return absl::OkStatus();
  if (what.all) what.keys.clear();  // they are in it
  absl::Status first;
  std::vector<std::string> left = std::move(what.keys);
  do {
    const auto end = left.begin() + static_cast<std::ptrdiff_t>(std::min(left.size(), kMaxKeysOfOneCall));
    what.keys.assign(std::make_move_iterator(left.begin()), std::make_move_iterator(end));
    left.erase(left.begin(), end);
    first.Update(cache.Invalidate(what, options).status());
  } while (!left.empty());
  return first;
}

}  // namespace larder::internal
