#include "server/store/stamp_table.h"

#include <algorithm>
#include <array>
#include <functional>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "core/pattern.h"
#include "core/position_index.h"

namespace larder {
namespace {

enum Kind : size_t { kHard, kSoft, kKinds };
using Epochs = std::array<uint64_t, kKinds>;  // 0: no stamp of that kind

bool Any(const Epochs&) { return true; }

// A hash that is made byte by byte, so that those of all prefixes of a key come from one pass over it (FNV-1a, with the
// upper half folded into the lower, which the index uses).
class PrefixHash {
 public:
  void Extend(std::string_view bytes) {
    for (char byte : bytes) state_ = (state_ ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
  }
  uint64_t value() const { return state_ ^ (state_ >> 32); }

 private:
  uint64_t state_ = 0xcbf29ce484222325;
};

// The stamps of one sort of groups, by name and in the order of their epochs.
class NamedStamps {
 public:
  struct Record {
    std::string name;
    uint64_t hash = 0;
    Epochs epochs{};

    uint64_t latest() const { return std::max(epochs[kHard], epochs[kSoft]); }
  };

  bool Add(std::string_view name, uint64_t hash, Kind kind, uint64_t epoch) {
    const uint32_t position = PositionOf(name, hash);
    uint64_t& known = records_[position].epochs[kind];
    if (epoch <= known) return false;
    if (known != 0) order_[kind].erase({known, position});
    known = epoch;
    order_[kind].emplace(epoch, position);
    return true;
  }

  // Calls `gone` with each name that has no stamp of either kind any more.
  template <typename Gone>
  void Forget(Kind kind, uint64_t epoch, const Gone& gone) {
    auto& order = order_[kind];
    while (!order.empty() && order.begin()->first <= epoch) {
      const uint32_t position = order.begin()->second;
      order.erase(order.begin());
      Record& record = records_[position];
      record.epochs[kind] = 0;
      if (record.latest() != 0) continue;
      gone(record.name);
      index_.Erase(record.hash, position);
      record.name = {};
      free_.push_back(position);
    }
  }

  // Null also if the record's epochs are not wanted: that is asked first, since to compare names costs more.
  template <typename Wanted>
  const Record* Find(std::string_view name, uint64_t hash, const Wanted& wanted) const {
    const auto position =
        index_.Find(hash, [&](uint32_t at) { return wanted(records_[at].epochs) && records_[at].name == name; });
    return position ? &records_[*position] : nullptr;
  }
  bool Has(std::string_view name, uint64_t hash) const { return Find(name, hash, Any) != nullptr; }

  // Calls `visit` for the stamps later than `epoch`, the latest first, until it returns true, and returns that.
  template <typename Visit>
  bool AnyLater(Kind kind, uint64_t epoch, const Visit& visit) const {
    for (auto at = order_[kind].rbegin(); at != order_[kind].rend() && at->first > epoch; ++at) {
      if (visit(records_[at->second].name, at->first)) return true;
    }
    return false;
  }

  uint64_t latest(Kind kind) const { return order_[kind].empty() ? 0 : order_[kind].rbegin()->first; }
  uint64_t latest() const { return std::max(latest(kHard), latest(kSoft)); }
  size_t size() const { return order_[kHard].size() + order_[kSoft].size(); }

 private:
  uint32_t PositionOf(std::string_view name, uint64_t hash) {
    const auto found = index_.Find(hash, [&](uint32_t at) { return records_[at].name == name; });
    if (found) return *found;
    uint32_t position = static_cast<uint32_t>(records_.size());
    if (free_.empty()) {
      records_.emplace_back();
    } else {
      position = free_.back();
      free_.pop_back();
    }
    records_[position] = {.name = std::string(name), .hash = hash};
    index_.Insert(hash, position);
    return position;
  }

  std::vector<Record> records_;
  std::vector<uint32_t> free_;  // positions in records_ that hold nothing
  PositionIndex index_;
  std::array<std::set<std::pair<uint64_t, uint32_t>>, kKinds> order_;  // epoch, position
};

uint64_t HashOf(std::string_view name) { return std::hash<std::string_view>()(name); }

// The stamps of prefix patterns, by prefix.
class PrefixStamps {
 public:
  bool Add(std::string_view prefix, Kind kind, uint64_t epoch) {
    PrefixHash hash;
    hash.Extend(prefix);
    Length& length = *LengthOf(prefix.size());
    if (!stamps_.Has(prefix, hash.value())) ++length.prefixes;
    length.latest[kind] = std::max(length.latest[kind], epoch);
    return stamps_.Add(prefix, hash.value(), kind, epoch);
  }

  void Forget(Kind kind, uint64_t epoch) {
    stamps_.Forget(kind, epoch, [&](std::string_view prefix) {
      const auto length = LengthOf(prefix.size());
      if (--length->prefixes == 0) lengths_.erase(length);
    });
  }

  // Calls `visit` for each prefix of the key whose epochs are wanted, until it returns true, and returns that. Where
  // some epochs are wanted, so are all that are later.
  template <typename Wanted, typename Visit>
  bool AnyOf(std::string_view key, const Wanted& wanted, const Visit& visit) const {
    PrefixHash hash;
    size_t hashed = 0;
    for (const Length& length : lengths_) {
      if (length.bytes > key.size()) break;
      if (!wanted(length.latest)) continue;
      hash.Extend(key.substr(hashed, length.bytes - hashed));
      hashed = length.bytes;
      const NamedStamps::Record* record = stamps_.Find(key.substr(0, length.bytes), hash.value(), wanted);
      if (record != nullptr && visit(*record)) return true;
    }
    return false;
  }

  const NamedStamps& stamps() const { return stamps_; }

 private:
  struct Length {
    size_t bytes = 0;
    size_t prefixes = 0;
    Epochs latest{};  // no stamp of these prefixes is later
  };

  // Makes one if there is none.
  std::vector<Length>::iterator LengthOf(size_t bytes) {
    const auto at = std::lower_bound(lengths_.begin(), lengths_.end(), bytes,
                                     [](const Length& length, size_t wanted) { return length.bytes < wanted; });
    if (at != lengths_.end() && at->bytes == bytes) return at;
    return lengths_.insert(at, {.bytes = bytes});
  }

  NamedStamps stamps_;
  std::vector<Length> lengths_;  // the shortest first
};

}  // namespace

struct StampTable::Impl {
  uint64_t latest() const {
    return std::max({all[kHard], all[kSoft], tags.latest(), prefixes.stamps().latest(), patterns.latest()});
  }

  Epochs all{};
  NamedStamps tags;
  PrefixStamps prefixes;
  NamedStamps patterns;  // all other patterns
};

StampTable::StampTable() : impl_(std::make_unique<Impl>()) {}
StampTable::~StampTable() = default;
StampTable::StampTable(StampTable&&) noexcept = default;
StampTable& StampTable::operator=(StampTable&&) noexcept = default;

bool StampTable::Add(const Stamp& stamp) {
  if (stamp.epoch == 0) return false;
  const Kind kind = stamp.soft ? kSoft : kHard;
  const std::string_view name = stamp.name;
  switch (stamp.group) {
    case Stamp::Group::kAll:
      if (stamp.epoch <= impl_->all[kind]) return false;
      impl_->all[kind] = stamp.epoch;
      return true;
    case Stamp::Group::kTag:
      return impl_->tags.Add(name, HashOf(name), kind, stamp.epoch);
    case Stamp::Group::kPattern:
      if (IsPrefixPattern(name)) return impl_->prefixes.Add(LiteralPrefix(name), kind, stamp.epoch);
      return impl_->patterns.Add(name, HashOf(name), kind, stamp.epoch);
  }
  return false;
}

Judgement StampTable::Judge(std::string_view key, TagList tags, uint64_t epoch) const {
  const Impl& impl = *impl_;
  if (impl.latest() <= epoch) return Judgement::kValid;
  if (impl.all[kHard] > epoch) return Judgement::kDead;
  bool stale = impl.all[kSoft] > epoch;
  const auto matters = [&](const Epochs& epochs) { return epochs[kHard] > epoch || (epochs[kSoft] > epoch && !stale); };
  const auto kills = [&](const NamedStamps::Record& record) {
    stale |= record.epochs[kSoft] > epoch;
    return record.epochs[kHard] > epoch;
  };

  if (impl.tags.latest() > epoch) {
    for (std::string_view tag : tags) {
      const NamedStamps::Record* record = impl.tags.Find(tag, HashOf(tag), matters);
      if (record != nullptr && kills(*record)) return Judgement::kDead;
    }
  }
  if (impl.prefixes.AnyOf(key, matters, kills)) return Judgement::kDead;
  const auto matches = [&](std::string_view pattern, uint64_t) { return MatchesPattern(pattern, key); };
  if (impl.patterns.AnyLater(kHard, epoch, matches)) return Judgement::kDead;
  stale = stale || impl.patterns.AnyLater(kSoft, epoch, matches);
  return stale ? Judgement::kStale : Judgement::kValid;
}

uint64_t StampTable::LatestHardPattern(std::string_view key, uint64_t epoch) const {
  uint64_t latest = epoch;
  const auto is_later = [&](const Epochs& epochs) { return epochs[kHard] > latest; };
  impl_->prefixes.AnyOf(key, is_later, [&](const NamedStamps::Record& record) {
    latest = record.epochs[kHard];
    return false;
  });
  impl_->patterns.AnyLater(kHard, latest, [&](std::string_view pattern, uint64_t at) {
    if (!MatchesPattern(pattern, key)) return false;
    latest = at;
    return true;
  });
  return latest > epoch ? latest : 0;
}

void StampTable::Forget(uint64_t epoch) {
  for (Kind kind : {kHard, kSoft}) {
    if (impl_->all[kind] <= epoch) impl_->all[kind] = 0;
    impl_->tags.Forget(kind, epoch, [](std::string_view) {});
  }
  impl_->prefixes.Forget(kSoft, epoch);
  impl_->patterns.Forget(kSoft, epoch, [](std::string_view) {});
  ForgetHardPatterns(epoch);
}

void StampTable::ForgetHardPatterns(uint64_t epoch) {
  impl_->prefixes.Forget(kHard, epoch);
  impl_->patterns.Forget(kHard, epoch, [](std::string_view) {});
}

void StampTable::Clear() { *impl_ = Impl(); }

std::vector<Stamp> StampTable::Later(uint64_t epoch) const {
  std::vector<Stamp> later;
  for (Kind kind : {kHard, kSoft}) {
    const auto add = [&](Stamp::Group group, std::string name, uint64_t at) {
      later.push_back({.group = group, .soft = kind == kSoft, .epoch = at, .name = std::move(name)});
      return false;
    };
    const auto add_tag = [&](const std::string& tag, uint64_t at) { return add(Stamp::Group::kTag, tag, at); };
    const auto add_prefix = [&](const std::string& prefix, uint64_t at) {
      return add(Stamp::Group::kPattern, prefix + "*", at);
    };
    const auto add_pattern = [&](const std::string& name, uint64_t at) {
      return add(Stamp::Group::kPattern, name, at);
    };
    if (impl_->all[kind] > epoch) add(Stamp::Group::kAll, "", impl_->all[kind]);
    impl_->tags.AnyLater(kind, epoch, add_tag);
    impl_->prefixes.stamps().AnyLater(kind, epoch, add_prefix);
    impl_->patterns.AnyLater(kind, epoch, add_pattern);
  }
  std::sort(later.begin(), later.end(), [](const Stamp& a, const Stamp& b) {
    return std::tie(a.epoch, a.group, a.soft, a.name) < std::tie(b.epoch, b.group, b.soft, b.name);
  });
  return later;
}

std::vector<Stamp> StampTable::Concerning(std::string_view key, TagList tags) const {
  std::vector<Stamp> concerning;
  const auto add = [&](Stamp::Group group, const std::string& name, const Epochs& epochs) {
    for (Kind kind : {kHard, kSoft}) {
      if (epochs[kind] == 0) continue;
      concerning.push_back({.group = group, .soft = kind == kSoft, .epoch = epochs[kind], .name = name});
    }
  };
  add(Stamp::Group::kAll, "", impl_->all);
  for (std::string_view tag : tags) {
    const NamedStamps::Record* record = impl_->tags.Find(tag, HashOf(tag), Any);
    if (record != nullptr) add(Stamp::Group::kTag, record->name, record->epochs);
  }
  const auto add_prefix = [&](const NamedStamps::Record& record) {
    add(Stamp::Group::kPattern, record.name + "*", record.epochs);
    return false;
  };
  impl_->prefixes.AnyOf(key, Any, add_prefix);
  for (Kind kind : {kHard, kSoft}) {
    impl_->patterns.AnyLater(kind, 0, [&](const std::string& name, uint64_t epoch) {
      if (MatchesPattern(name, key)) concerning.push_back({Stamp::Group::kPattern, kind == kSoft, epoch, name});
      return false;
    });
  }
  std::sort(concerning.begin(), concerning.end(), [](const Stamp& a, const Stamp& b) {
    return std::tie(b.epoch, a.group, a.soft, a.name) < std::tie(a.epoch, b.group, b.soft, b.name);
  });
  concerning.erase(std::unique(concerning.begin(), concerning.end()), concerning.end());  // a tag may be named twice
  return concerning;
}

uint64_t StampTable::MiddleEpoch() const {
  std::vector<uint64_t> epochs;
  epochs.reserve(kKinds + tags() + patterns());
  for (Kind kind : {kHard, kSoft}) {
    const auto add = [&](std::string_view, uint64_t at) {
      epochs.push_back(at);
      return false;
    };
    if (impl_->all[kind] > 0) add("", impl_->all[kind]);
    impl_->tags.AnyLater(kind, 0, add);
    impl_->prefixes.stamps().AnyLater(kind, 0, add);
    impl_->patterns.AnyLater(kind, 0, add);
  }
  if (epochs.empty()) return 0;
  const auto middle = epochs.begin() + static_cast<std::ptrdiff_t>(epochs.size() / 2);
  std::nth_element(epochs.begin(), middle, epochs.end());
  return *middle;
}

uint64_t StampTable::latest_hard() const {
  return std::max({impl_->all[kHard], impl_->tags.latest(kHard), impl_->prefixes.stamps().latest(kHard),
                   impl_->patterns.latest(kHard)});
}

size_t StampTable::tags() const { return impl_->tags.size(); }
size_t StampTable::patterns() const { return impl_->prefixes.stamps().size() + impl_->patterns.size(); }

}  // namespace larder
