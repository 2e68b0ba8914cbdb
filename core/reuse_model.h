// What to keep: how much a byte of the near tier can be expected to earn with an entry, learned from the requests.
#ifndef LARDER_CORE_REUSE_MODEL_H_
#define LARDER_CORE_REUSE_MODEL_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace larder {

// How an entry was asked for so far. Times are counts of accesses to the shard; they wrap around.
struct AccessRecord {
  uint32_t last_access = 0;
  uint8_t hits : 7 = 0;    // after the first access; saturates
  uint8_t forced : 1 = 0;  // evicted against the model's judgement
  uint8_t gap = 0;         // mean logarithm of the times between accesses, in eighths of a power of two; 0: none yet
  uint16_t tag = 0;        // for whoever keeps the record

  // The key was asked for once more.
  void Renew(uint32_t now);
};

// Ranks entries by the hits that can be expected of them for the time that they take up room.
//
// An entry belongs to one of 32 classes, by how often it was hit and how long the gaps were, and has an age, the time
// since its last access, of which only the power of two matters. For each class and age the model sums the hits, and
// the time that entries spent there, cached or remembered as evicted (without those it would never learn what it
// loses). The quotient is the hazard, the chance that an access is one to such an entry. Its worth follows from the
// hazards at its age and above: suppose it is kept until some later age; divide the chance that it is hit by then by
// the time that it is expected to be kept; the best quotient of all those later ages is the worth. This is Gittins'
// index. Beckmann, Chen and Cidon ("LHD: Improving Cache Hit Rate by Maximizing Hit Density", NSDI '18) rank a sample
// of entries by a like quotient, as measured under their own evictions.
//
// Recency, frequency, loops and scans are thus no cases of their own but shapes of the hazard. Before anything is known
// it is taken to fall with age and rise with hits, between LRU and LFU. Size plays no part: what is large takes more
// room, but is dearer to fetch again.
//
// Sums are forgotten with a half-life of 16 accesses for each entry in the cache. Not thread-safe. 18 KiB.
class ReuseModel {
 public:
  ReuseModel();

  // The entry is being asked for, `record` being what was known before.
  void CountHit(const AccessRecord& record, uint32_t now) { ++new_hits_[CellOf(record, now)]; }

  // `weight` is the time, in accesses times entries, that the entry stands for.
  void CountPresence(const AccessRecord& record, uint32_t now, double weight) {
    presence_[CellOf(record, now)] += weight;
  }

  // Takes what was learned into account, for one class after the other; to be called once every `interval` accesses, at
  // most 1,024. `entries` is how many the cache holds.
  void Refresh(size_t entries, uint32_t interval);

  // The expected hits per access while the entry is kept. Only the order matters.
  float Worth(const AccessRecord& record, uint32_t now) const { return worth_[CellOf(record, now)]; }

 private:
  static constexpr size_t kHitClasses = 8;
  static constexpr size_t kGapClasses = 4;
  static constexpr size_t kClasses = kHitClasses * kGapClasses;
  static constexpr size_t kAges = 32;

  // One for each class and age.
  template <typename T>
  using Table = std::array<T, kClasses * kAges>;

  static size_t AgeOf(const AccessRecord& record, uint32_t now);
  size_t ClassOf(const AccessRecord& record) const;
  size_t CellOf(const AccessRecord& record, uint32_t now) const { return ClassOf(record) * kAges + AgeOf(record, now); }
  void RankClass(size_t number);

  Table<uint16_t> new_hits_{};  // since the last refresh of the class: small, for a hit touches nothing else
  Table<float> hits_{};
  Table<double> presence_{};
  Table<float> worth_{};
  size_t next_class_ = 0;
  int entries_log2_ = 0;
};

}  // namespace larder

#endif  // LARDER_CORE_REUSE_MODEL_H_
