#ifndef LARDER_SERVER_ENGINE_VERSION_SOURCE_H_
#define LARDER_SERVER_ENGINE_VERSION_SOURCE_H_

#include <atomic>
#include <cstdint>

namespace larder {

// Versions of entries: 64 bits, unique in this process and, by its random seed, as good as unique in the fleet
// (COHERENCE E1). Never 0, which means "none". Thread-safe, wait-free.
class VersionSource {
 public:
  explicit VersionSource(uint64_t random_seed) : state_(random_seed) {}

  uint64_t Next() {
    // SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014). It is a bijection of a
    // counter, so no value repeats before 2^64 were taken.
    uint64_t z = state_.fetch_add(0x9e3779b97f4a7c15, std::memory_order_relaxed);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    z ^= z >> 31;
    return z != 0 ? z : Next();
  }

 private:
  std::atomic<uint64_t> state_;
};

}  // namespace larder

#endif  // LARDER_SERVER_ENGINE_VERSION_SOURCE_H_
