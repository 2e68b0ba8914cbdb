#include "client/testing/fake_limits.h"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/src/quote.h"

namespace larder::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;

constexpr size_t kMaxContentTypeBytes = 255;
constexpr size_t kMaxNamespaceBytes = 63;
constexpr size_t kMaxTags = 32;         // of one entry
constexpr size_t kMaxGroupBytes = 128;  // of a tag or a pattern
constexpr size_t kMaxGroups = 100;      // of a kind, in one call
constexpr milliseconds kMaxStaleFor = std::chrono::hours(3650 * 24);

bool IsNamespaceCharacter(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-'; }

absl::Status TooLarge(std::string_view field, size_t size, std::string_view unit, size_t limit) {
  return absl::InvalidArgumentError(
      absl::StrCat(std::string(field), ": ", size, std::string(unit), ", the limit is ", limit));
}

absl::Status CheckGroup(const std::string& group) {
  if (group.empty()) return absl::InvalidArgumentError(absl::StrCat("empty, must be 1 to ", kMaxGroupBytes, " bytes"));
  if (group.size() <= kMaxGroupBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(group.size(), " bytes, the limit is ", kMaxGroupBytes));
}

absl::Status CheckTags(const std::vector<std::string>& tags) {
  if (tags.size() > kMaxTags) return TooLarge("tags", tags.size(), "", kMaxTags);
  for (size_t i = 0; i < tags.size(); ++i) {
    absl::Status status = CheckGroup(tags[i]);
    const auto end = tags.begin() + static_cast<std::ptrdiff_t>(i);
    const auto first = std::find(tags.begin(), end, tags[i]);
    if (first != end) {
      status.Update(absl::InvalidArgumentError(absl::StrCat("the same as tags[", first - tags.begin(), "]")));
    }
    if (!status.ok()) return InElement("tags", i, status);
  }
  return absl::OkStatus();
}

absl::Status CheckGroupsOf(std::string_view field, const std::vector<std::string>& groups) {
  if (groups.size() > kMaxGroups) return TooLarge(field, groups.size(), "", kMaxGroups);
  for (size_t i = 0; i < groups.size(); ++i) {
    absl::Status status = InElement(field, i, CheckGroup(groups[i]));
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status CheckCondition(const Condition& condition) {
  if (condition.kind() != Condition::Kind::kIfVersion || condition.version() != 0) return absl::OkStatus();
  return absl::InvalidArgumentError("if_version: 0 is no entry's version");
}

}  // namespace

FakeLimits::FakeLimits(const FakeCacheOptions& options)
    : default_ttl_(options.default_ttl),
      max_ttl_(options.max_ttl),
      stale_for_(options.stale_for),
      absent_ttl_(options.absent_ttl),
      lease_(options.lease),
      refresh_retry_(options.refresh_retry),
      eager_refresh_(options.eager_refresh),
      max_key_bytes_(options.max_key_bytes),
      max_value_bytes_(options.max_value_bytes),
      max_batch_keys_(options.max_batch_keys),
      ttl_classes_(options.ttl_classes) {
  // Those that the options name stay as they are.
  ttl_classes_.insert({{"realtime", minutes(1)},
                       {"user", minutes(5)},
                       {"default", minutes(5)},
                       {"analytics", minutes(30)},
                       {"static", minutes(60)}});
}

absl::Status FakeLimits::CheckNamespace(std::string_view name_space) const {
  if (!name_space.empty() && name_space.size() <= kMaxNamespaceBytes &&
      std::all_of(name_space.begin(), name_space.end(), &IsNamespaceCharacter)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError("namespace: must match [a-z0-9_-]{1,63}");
}

absl::Status FakeLimits::CheckKey(std::string_view key) const {
  if (key.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("key: empty, must be 1 to ", max_key_bytes_, " bytes"));
  }
  if (key.size() > max_key_bytes_) return TooLarge("key", key.size(), " bytes", max_key_bytes_);
  return absl::OkStatus();
}

absl::Status FakeLimits::CheckBatch(size_t size, std::string_view field) const {
  if (size == 0) {
    return absl::InvalidArgumentError(absl::StrCat(std::string(field), ": empty, must be 1 to ", max_batch_keys_));
  }
  if (size > max_batch_keys_) return TooLarge(field, size, "", max_batch_keys_);
  return absl::OkStatus();
}

absl::Status FakeLimits::CheckGroups(const Invalidation& what) const {
  if (absl::Status status = CheckGroupsOf("tags", what.tags); !status.ok()) return status;
  if (absl::Status status = CheckGroupsOf("patterns", what.patterns); !status.ok()) return status;
  if (what.entities.size() > kMaxGroups) return TooLarge("entities", what.entities.size(), "", kMaxGroups);
  return absl::OkStatus();
}

absl::StatusOr<FakeLifetime> FakeLimits::CheckItem(std::string_view name_space, const SetItem& item) const {
  if (absl::Status status = CheckCondition(item.condition); !status.ok()) return status;
  if (absl::Status status = CheckKey(item.key); !status.ok()) return status;
  if (item.value.size() > max_value_bytes_) return TooLarge("value", item.value.size(), " bytes", max_value_bytes_);
  if (item.absent && !item.value.empty()) {
    return absl::InvalidArgumentError("value: must be empty where `absent` is set");
  }
  if (item.content_type.size() > kMaxContentTypeBytes) {
    return TooLarge("content_type", item.content_type.size(), " bytes", kMaxContentTypeBytes);
  }
  if (absl::Status status = CheckTags(item.tags); !status.ok()) return status;
  const absl::StatusOr<milliseconds> ttl =
      item.absent && item.ttl.is_default() ? absent_ttl_ : ResolveTtl(name_space, item.ttl);
  if (!ttl.ok()) return ttl.status();
  const milliseconds stale_for = item.stale_for.value_or(stale_for_);
  if (stale_for.count() < 0 || stale_for > kMaxStaleFor) {
    return absl::InvalidArgumentError(
        absl::StrCat("stale_for_ms: ", stale_for.count(), ", must be 0 to ", kMaxStaleFor.count()));
  }
  const milliseconds soft = std::clamp(*ttl, milliseconds(1), max_ttl_);
  return FakeLifetime{soft, std::min(soft + stale_for, max_ttl_)};
}

absl::StatusOr<milliseconds> FakeLimits::ResolveTtl(std::string_view name_space, const Ttl& ttl) const {
  if (ttl.is_default()) return default_ttl_;
  if (!ttl.is_class()) {
    if (ttl.duration().count() >= 1 && ttl.duration() <= max_ttl_) return ttl.duration();
    return absl::InvalidArgumentError(
        absl::StrCat("ttl_ms: ", ttl.duration().count(), ", must be 1 to ", max_ttl_.count()));
  }
  const auto found = ttl_classes_.find(ttl.ttl_class());
  if (found != ttl_classes_.end()) return found->second;
  const std::string names =
      absl::StrJoin(ttl_classes_, ", ", [](std::string* out, const auto& named) { absl::StrAppend(out, named.first); });
  return absl::InvalidArgumentError(absl::StrCat("ttl_class: ", internal::Quoted(ttl.ttl_class()),
                                                 " is not a class of namespace \"", std::string(name_space),
                                                 "\" (it has: ", names, ")"));
}

absl::Status InElement(std::string_view field, size_t index, const absl::Status& status) {
  if (status.ok()) return status;
  return {status.code(), absl::StrCat(std::string(field), "[", index, "]: ", status.message())};
}

}  // namespace larder::testing
