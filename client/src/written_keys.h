// Which keys this process wrote a moment ago, so that it reads its own writes whichever replica it asks.
#ifndef LARDER_CLIENT_SRC_WRITTEN_KEYS_H_
#define LARDER_CLIENT_SRC_WRITTEN_KEYS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace larder::internal {

// The replica that acknowledged a write answers for it at once; another one's near tier may be behind for a while, so a
// Get that goes there must go past it (DESIGN G1). Keys share slots by hash: a collision costs a near hit, never an old
// value. Thread-safe, lock-free.
class WrittenKeys {
 public:
  // Stands for no replica in particular.
  static constexpr uint16_t kUnknownReplica = 0;

  // To be called before the write's end is told to anyone. `replica`: the one that acknowledged it, or kUnknownReplica
  // where the outcome is not known. Times are Clock's.
  void Record(uint64_t key_hash, uint16_t replica, int64_t now_nanos, int64_t until_nanos) {
    Merge(&Slot(key_hash), replica, now_nanos, until_nanos);
  }
  // May the near tier of `replica` be asked?
  bool NearMayAnswer(uint64_t key_hash, uint16_t replica, int64_t now_nanos) const {
    return Allows(Slot(key_hash).load(std::memory_order_acquire), replica, now_nanos);
  }

 private:
  static constexpr size_t kSlots = 16'384;  // 128 KiB
  static constexpr int kReplicaBits = 16;

  // A slot is a time in microseconds, then the replica.
  static uint64_t Pack(uint16_t replica, int64_t nanos) {
    return (static_cast<uint64_t>(nanos / 1000) << kReplicaBits) | replica;
  }
  static int64_t UntilNanos(uint64_t slot) { return static_cast<int64_t>(slot >> kReplicaBits) * 1000; }
  static uint16_t Replica(uint64_t slot) { return static_cast<uint16_t>(slot); }

  static bool Allows(uint64_t slot, uint16_t replica, int64_t now_nanos) {
    return now_nanos >= UntilNanos(slot) || (Replica(slot) == replica && replica != kUnknownReplica);
  }

  static void Merge(std::atomic<uint64_t>* slot, uint16_t replica, int64_t now_nanos, int64_t until_nanos) {
    uint64_t old = slot->load(std::memory_order_relaxed);
    uint64_t next;
    do {
      // Two replicas have each acknowledged a write of late: neither answers for both.
      const bool both = now_nanos < UntilNanos(old) && Replica(old) != replica;
      next = Pack(both ? kUnknownReplica : replica, until_nanos);
      if (UntilNanos(next) < UntilNanos(old)) next = Pack(Replica(next), UntilNanos(old));
    } while (!slot->compare_exchange_weak(old, next, std::memory_order_acq_rel));
  }

  std::atomic<uint64_t>& Slot(uint64_t hash) { return slots_[hash % kSlots]; }
  const std::atomic<uint64_t>& Slot(uint64_t hash) const { return slots_[hash % kSlots]; }

  std::array<std::atomic<uint64_t>, kSlots> slots_{};
};

}  // namespace larder::internal

#endif  // LARDER_CLIENT_SRC_WRITTEN_KEYS_H_
