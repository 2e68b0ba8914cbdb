// Tells a read that was under way whether its key was written meanwhile.
#ifndef LARDER_CORE_WRITE_MARKS_H_
#define LARDER_CORE_WRITE_MARKS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace larder {

// COHERENCE N3: a replica's own writes mark what is in flight at their start and again before they are
// acknowledged, and what was marked is not admitted to the near tier. Keys share counters by hash: a collision costs an
// admission, never a stale one. Thread-safe, wait-free.
//
// A reader takes Current() before it asks the store and admits only if that is unchanged; the comparison must run
// under the near tier's lock (NearCache::Admit), and a writer marks before it erases, so that no admission can slip
// in between the two.
class WriteMarks {
 public:
  uint64_t Current(uint64_t hash) const { return Stripe(hash).load(std::memory_order_acquire); }

  // The value after marking.
  uint64_t Mark(uint64_t hash) { return Stripe(hash).fetch_add(1, std::memory_order_acq_rel) + 1; }

  // Marks every key's.
  void MarkAll() {
    for (std::atomic<uint64_t>& stripe : stripes_) stripe.fetch_add(1, std::memory_order_acq_rel);
  }

 private:
  static constexpr size_t kStripes = 4096;

  std::atomic<uint64_t>& Stripe(uint64_t hash) { return stripes_[hash % kStripes]; }
  const std::atomic<uint64_t>& Stripe(uint64_t hash) const { return stripes_[hash % kStripes]; }

  std::array<std::atomic<uint64_t>, kStripes> stripes_{};
};

}  // namespace larder

#endif  // LARDER_CORE_WRITE_MARKS_H_
