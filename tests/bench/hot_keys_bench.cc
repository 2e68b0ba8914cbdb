// What it costs a hit in the near tier that its key is counted among the hottest.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/near_cache.h"
#include "server/engine/hot_keys.h"

namespace larder {
namespace {

constexpr uint32_t kKeys = 50'000;

struct World {
  World() {
    for (uint32_t i = 0; i < kKeys; ++i) {
      keys.push_back("tenant:product:detail:" + std::to_string(i));
      cache.Admit(keys.back(), NearCache::Hash(keys.back()),
                  Entry::Create({.expires_nanos = INT64_MAX}, "", std::string(100, 'v')), [] { return true; });
    }
  }

  std::vector<std::string> keys;
  NearCache cache{NearCache::Options{.capacity_bytes = size_t{64} << 20}};
  // Fewer counters than keys: most counted reads have to push another key out.
  HotKeys hot{1'000};
};

World& TheWorld() {
  static World* const world = new World;  // of the whole run; never destroyed
  return *world;
}

// As a Get does it: the time, the hash, the near tier. Skewed: half of the reads are of an eighth of the keys, as in
// real traffic; else all keys are read alike, which is the worst for the counters.
template <bool counted, bool skewed>
void Hit(benchmark::State& state) {
  World& world = TheWorld();
  const SystemClock clock;
  uint32_t next = static_cast<uint32_t>(state.thread_index()) * 7'919;
  for (auto _ : state) {
    next = next * 1'664'525 + 1'013'904'223;
    const uint64_t place = next >> 8;  // of 2^24
    const uint64_t chosen = skewed ? (place * place >> 24) * place >> 24 : place;
    const std::string& key = world.keys[chosen * kKeys >> 24];
    const int64_t now = clock.NowNanos();
    const uint64_t hash = NearCache::Hash(key);
    if (counted) world.hot.Count(key, hash, now);
    benchmark::DoNotOptimize(world.cache.Find(key, hash, now));
  }
}

BENCHMARK_TEMPLATE(Hit, false, true)->Name("skewed")->Threads(1)->Threads(2);
BENCHMARK_TEMPLATE(Hit, true, true)->Name("skewed, counted")->Threads(1)->Threads(2);
BENCHMARK_TEMPLATE(Hit, false, false)->Name("all alike")->Threads(1)->Threads(2);
BENCHMARK_TEMPLATE(Hit, true, false)->Name("all alike, counted")->Threads(1)->Threads(2);

}  // namespace
}  // namespace larder
