// What the near tier costs: time for a hit and for an admission. For memory see near_memory.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "core/near_cache.h"

namespace larder {
namespace {

constexpr size_t kKeySize = 32;
constexpr size_t kValueSize = 100;

std::string KeyOf(uint32_t id) {
  std::string key(kKeySize, 'k');
  std::snprintf(key.data(), key.size(), "tenant:product:detail:%08x", id);
  return key;
}

std::vector<std::string> Keys(uint32_t count) {
  std::vector<std::string> keys;
  keys.reserve(count);
  for (uint32_t id = 0; id < count; ++id) keys.push_back(KeyOf(id));
  return keys;
}

EntryRef MakeEntry(std::string_view key) {
  static const std::string value(kValueSize, 'v');
  return Entry::Create({.expires_nanos = INT64_MAX}, "", value, {}, key);
}

bool Yes() { return true; }

void Put(NearCache& cache, const std::string& key) { cache.Admit(key, NearCache::Hash(key), MakeEntry(key), Yes); }

std::unique_ptr<NearCache> Filled(const std::vector<std::string>& keys) {
  auto cache = std::make_unique<NearCache>(NearCache::Options{.capacity_bytes = size_t{64} << 20});
  for (const std::string& key : keys) Put(*cache, key);
  return cache;
}

// Includes the hash of the key and the release of the reference.
void BM_FindHit(benchmark::State& state) {
  static const std::vector<std::string> keys = Keys(100'000);
  static const std::unique_ptr<NearCache> cache = Filled(keys);
  size_t i = static_cast<size_t>(state.thread_index()) * keys.size() / 2;
  for (auto _ : state) {
    i = (i + 7'919) % keys.size();
    benchmark::DoNotOptimize(cache->Find(keys[i], NearCache::Hash(keys[i]), 0));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_FindHit)->Threads(1)->Threads(2)->UseRealTime();

void BM_FindMiss(benchmark::State& state) {
  const std::vector<std::string> keys = Keys(100'000);
  NearCache cache({.capacity_bytes = size_t{64} << 20});
  size_t i = 0;
  for (auto _ : state) {
    i = (i + 7'919) % keys.size();
    benchmark::DoNotOptimize(cache.Find(keys[i], NearCache::Hash(keys[i]), 0));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_FindMiss);

// Into a full cache, so that each admission evicts; includes making the entry.
void BM_AdmitAndEvict(benchmark::State& state) {
  const std::vector<std::string> keys = Keys(100'000);
  NearCache cache({.capacity_bytes = size_t{8} << 20});
  for (const std::string& key : keys) Put(cache, key);
  size_t i = 0;
  for (auto _ : state) {
    i = (i + 1) % keys.size();
    Put(cache, keys[i]);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_AdmitAndEvict);

}  // namespace
}  // namespace larder
