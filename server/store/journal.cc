#include "server/store/journal.h"

#include <algorithm>

namespace larder {
namespace {

// Names from `from` that were added up to `position`, until there are `max_names` in all.
template <typename Entries>
void Take(const Entries& from, uint64_t position, size_t max_names, std::vector<std::string>& to) {
  for (const auto& [name, entry] : from) {
    if (to.size() >= max_names) return;
    if (entry.number <= position && entry.sets == 0) to.push_back(name);
  }
}

template <typename Entries>
void DropAll(Entries& from, uint64_t position) {
  absl::erase_if(from, [position](const auto& each) { return each.second.number <= position; });
}

template <typename Entries>
void Drop(Entries& from, const std::vector<std::string>& names, uint64_t position) {
  for (const std::string& name : names) {
    const auto found = from.find(name);
    if (found != from.end() && found->second.number <= position) from.erase(found);
  }
}

}  // namespace

Journal::Journal(const std::vector<std::string>& name_spaces, size_t max_entries) : max_entries_(max_entries) {
  MutexLock lock(&mutex_);
  for (const std::string& name : name_spaces) spaces_[name];
}

Journal::Space* Journal::Find(std::string_view name_space) {
  const auto found = spaces_.find(name_space);
  return found == spaces_.end() ? nullptr : &found->second;
}

const Journal::Space* Journal::Find(std::string_view name_space) const {
  const auto found = spaces_.find(name_space);
  return found == spaces_.end() ? nullptr : &found->second;
}

bool Journal::IsCovered(Space& space) {
  // Again, and later: a replay that is under way may have taken place in the store before this.
  if (space.barrier == 0 && space.all == 0) return false;
  (space.barrier != 0 ? space.barrier : space.all) = ++last_number_;
  return true;
}

void Journal::Add(Space& space, Entries& entries, const std::string& name) {
  added_.fetch_add(1, std::memory_order_relaxed);
  if (IsCovered(space)) return;
  const auto [at, is_new] = entries.try_emplace(name);
  at->second.number = ++last_number_;
  if (!is_new) return;
  ++names_;
  MakeRoom();
}

// The one that takes most goes, so that a quiet namespace does not pay for a busy one.
void Journal::MakeRoom() {
  if (names_ <= max_entries_) return;
  Space* most = nullptr;
  for (auto& [name, space] : spaces_) {
    if (most == nullptr || space.names() > most->names()) most = &space;
  }
  names_ -= most->names();
  *most = Space{.max_tags = most->max_tags, .max_patterns = most->max_patterns};
  most->barrier = ++last_number_;
  overflows_.fetch_add(1, std::memory_order_relaxed);
}

void Journal::Count() {
  size_t waiting = 0;
  for (const auto& [name, space] : spaces_) waiting += space.entries();
  waiting_.store(waiting, std::memory_order_release);
}

bool Journal::HasGroups(std::string_view name_space) const {
  MutexLock lock(&mutex_);
  const Space* const space = Find(name_space);
  return space != nullptr && space->is_closed();
}

void Journal::AddKeys(std::string_view name_space, const std::vector<std::string>& keys) {
  MutexLock lock(&mutex_);
  Space* const space = Find(name_space);
  if (space == nullptr) return;
  for (const std::string& key : keys) Add(*space, space->keys, key);
  Count();
}

bool Journal::AddGroups(const GroupRequest& groups) {
  MutexLock lock(&mutex_);
  Space* const space = Find(groups.name_space);
  if (space == nullptr) return false;
  space->max_tags = groups.max_tags;
  space->max_patterns = groups.max_patterns;
  for (const std::string& tag : groups.tags) Add(*space, space->tags, tag);
  for (const std::string& pattern : groups.patterns) Add(*space, space->patterns, pattern);
  const bool collapses = space->tags.size() > groups.max_tags || space->patterns.size() > groups.max_patterns;
  if (groups.all) added_.fetch_add(1, std::memory_order_relaxed);
  if ((groups.all || collapses) && !IsCovered(*space)) {
    // All that was named before is among it.
    names_ -= space->names();
    *space = Space{.max_tags = groups.max_tags, .max_patterns = groups.max_patterns};
    space->all = ++last_number_;
  }
  Count();
  return collapses;
}

std::vector<size_t> Journal::Withheld(std::string_view name_space, const std::vector<std::string>& keys) const {
  std::vector<size_t> withheld;
  MutexLock lock(&mutex_);
  const Space* const space = Find(name_space);
  if (space == nullptr) return withheld;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (space->is_closed() || space->keys.contains(keys[i])) withheld.push_back(i);
  }
  return withheld;
}

bool Journal::Withholds(std::string_view name_space, const std::string& key) const {
  MutexLock lock(&mutex_);
  const Space* const space = Find(name_space);
  return space != nullptr && (space->is_closed() || space->keys.contains(key));
}

uint64_t Journal::position() const {
  MutexLock lock(&mutex_);
  return last_number_;
}

std::optional<uint64_t> Journal::BeginSet(std::string_view name_space, const std::string& key) {
  MutexLock lock(&mutex_);
  Space* const space = Find(name_space);
  if (space == nullptr) return std::nullopt;
  const auto found = space->keys.find(key);
  if (found == space->keys.end()) return std::nullopt;
  ++found->second.sets;
  return last_number_;
}

void Journal::EndSet(std::string_view name_space, const std::string& key, uint64_t position, bool acknowledged) {
  MutexLock lock(&mutex_);
  Space* const space = Find(name_space);
  if (space == nullptr) return;
  const auto found = space->keys.find(key);
  // All may have been forgotten meanwhile, and this be another.
  if (found == space->keys.end() || found->second.sets == 0) return;
  --found->second.sets;
  if (!acknowledged || found->second.number > position) return;
  space->keys.erase(found);
  --names_;
  Count();
}

std::optional<Journal::Step> Journal::Next(std::string_view name_space, uint64_t position, size_t max_names) const {
  MutexLock lock(&mutex_);
  const Space* const space = Find(name_space);
  if (space == nullptr) return std::nullopt;
  Step step{.max_tags = space->max_tags, .max_patterns = space->max_patterns};
  if (space->barrier != 0) {
    if (space->barrier > position) return std::nullopt;
    step.barrier = true;
    return step;
  }
  step.all = space->all != 0 && space->all <= position;
  if (step.all) return step;
  Take(space->tags, position, max_names, step.tags);
  Take(space->patterns, position, max_names, step.patterns);
  if (!step.is_groups()) Take(space->keys, position, max_names, step.keys);
  return step.is_groups() || !step.keys.empty() ? std::optional<Step>(std::move(step)) : std::nullopt;
}

size_t Journal::Settle(std::string_view name_space, const Step& step, uint64_t position) {
  MutexLock lock(&mutex_);
  Space* const space = Find(name_space);
  if (space == nullptr) return 0;
  const size_t before = space->entries();
  const size_t names_before = space->names();
  if (step.barrier && space->barrier <= position) space->barrier = 0;
  if ((step.barrier || step.all) && space->all <= position) space->all = 0;
  if (step.barrier || step.all) {
    // They end everything from before them, whatever it is called.
    for (Entries* entries : {&space->keys, &space->tags, &space->patterns}) DropAll(*entries, position);
  } else {
    Drop(space->tags, step.tags, position);
    Drop(space->patterns, step.patterns, position);
    Drop(space->keys, step.keys, position);
  }
  names_ -= names_before - space->names();
  Count();
  return before - space->entries();
}

std::vector<std::string> Journal::Waiting() const {
  std::vector<std::string> waiting;
  MutexLock lock(&mutex_);
  for (const auto& [name, space] : spaces_) {
    if (space.entries() > 0) waiting.push_back(name);
  }
  return waiting;
}

size_t Journal::CountOf(std::string_view name_space) const {
  MutexLock lock(&mutex_);
  const Space* const space = Find(name_space);
  return space == nullptr ? 0 : space->entries();
}

bool Journal::IsBarred(std::string_view name_space) const {
  MutexLock lock(&mutex_);
  const Space* const space = Find(name_space);
  return space != nullptr && space->barrier != 0;
}

}  // namespace larder
