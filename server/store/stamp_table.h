// The group invalidations of a namespace that are still remembered, and what they say of an entry.
#ifndef LARDER_SERVER_STORE_STAMP_TABLE_H_
#define LARDER_SERVER_STORE_STAMP_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "core/entry.h"
#include "server/store/control.h"

namespace larder {

// What is left of an entry. In the order of harm.
enum class Judgement : uint8_t { kValid, kStale, kDead };

// Judging takes a hash look-up for each of the entry's tags and for each length of the prefix patterns that are
// remembered, and a match for each other pattern; stamps that are not later than the entry cost nothing beyond that.
// It takes no memory. Not thread-safe.
class StampTable {
 public:
  StampTable();
  ~StampTable();
  StampTable(StampTable&&) noexcept;
  StampTable& operator=(StampTable&&) noexcept;

  // Of the same group and kind the later one is kept. Whether that is this one: what was judged before may be judged
  // otherwise now. Epochs are above 0.
  bool Add(const Stamp& stamp);

  // By the stamps that are later than `epoch`, at which an entry under `key` with `tags` was written.
  Judgement Judge(std::string_view key, TagList tags, uint64_t epoch) const;

  // Forgets stamps up to and including `epoch`: of every kind, since no entry from before is left; or of hard patterns
  // alone, since they have been swept.
  void Forget(uint64_t epoch);
  void ForgetHardPatterns(uint64_t epoch);
  void Clear();

  // The latest hard stamp, of those later than `epoch`, of a pattern that matches the key; 0: there is none.
  uint64_t LatestHardPattern(std::string_view key, uint64_t epoch) const;

  // Those later than `epoch`, the earliest first.
  std::vector<Stamp> Later(uint64_t epoch) const;
  // Those that concern the key or the tags, the latest first.
  std::vector<Stamp> Concerning(std::string_view key, TagList tags) const;

  // An epoch that at least half of the stamps are not later than. 0: there are none.
  uint64_t MiddleEpoch() const;

  uint64_t latest_hard() const;  // the latest epoch of any hard stamp; 0: there is none
  size_t tags() const;           // how many tag stamps are held, hard and soft
  size_t patterns() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace larder

#endif  // LARDER_SERVER_STORE_STAMP_TABLE_H_
