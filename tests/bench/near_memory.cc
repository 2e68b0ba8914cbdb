// near_memory: what an entry of the near tier takes beyond its key and value, from the resident memory of this process.
//
// Entries have the numbers that one brought from Redis has: a random version and generation, an epoch, an age, a time
// to live; no tags and no content type. A second figure is taken when the near tier is full and has evicted as many as
// it holds: it then remembers what it evicted, too.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <random>
#include <stdexcept>
#include <string>

#include "core/clock.h"
#include "core/near_cache.h"
#include "tests/bench/measured.h"

namespace larder {
namespace {

constexpr int kExitFailed = 2;

struct Flags {
  uint32_t entries = 5'000'000;
  size_t key_size = 32;
  size_t value_size = 100;
  std::string json;
};

class Source {
 public:
  explicit Source(const Flags& flags)
      : key_(flags.key_size, 'k'), value_(flags.value_size, 'v'), random_(1), generation_(random_()) {}

  // The next one comes a microsecond later, all within a time to live of five minutes, ages up to a minute.
  EntryRef Next() {
    const std::string id = std::to_string(++count_);
    key_.replace(key_.size() - id.size(), id.size(), id);
    const int64_t sent = int64_t{86'400} * kNanosPerSecond + int64_t{count_} * 1'001;
    const auto age_ms = static_cast<int64_t>(random_() % 60'000);
    const int64_t expires = sent + (300'000 - age_ms) * kNanosPerMilli;
    return Entry::Create({.version = random_(),
                          .generation = generation_,
                          .epoch = 1'000 + random_() % 1'000,
                          .created_nanos = sent - age_ms * kNanosPerMilli,
                          .expires_nanos = expires,
                          .stale_nanos = expires,
                          .read_nanos = sent},
                         "", value_, {}, key_);
  }

 private:
  std::string key_;
  const std::string value_;
  std::mt19937_64 random_;
  const uint64_t generation_;
  uint32_t count_ = 0;
};

void Admit(NearCache& cache, EntryRef entry) {
  const std::string_view key = entry->key();
  cache.Admit(key, NearCache::Hash(key), entry, [] { return true; });
}

Measured Measure(const Flags& flags) {
  if (flags.entries == 0) throw std::runtime_error("--entries: must be at least 1");
  if (flags.key_size < 10) throw std::runtime_error("--key-size: must be at least 10");
  Source source(flags);
  const size_t charge = NearCache::Charge(flags.key_size, *source.Next());
  const auto texts = static_cast<double>(flags.key_size + flags.value_size);
  const double before = ResidentBytes();
  // Some room more, since shards do not get equal parts.
  NearCache cache({.capacity_bytes = charge * (flags.entries + flags.entries / 16)});
  const auto take = [&](double* charged) {
    const double resident = ResidentBytes() - before;
    const NearCacheStats stats = cache.Stats();
    const auto entries = static_cast<double>(stats.entries);
    *charged = static_cast<double>(stats.bytes) / entries - texts;
    return resident / entries - texts;
  };
  Measured measured;
  for (uint32_t i = 0; i < flags.entries; ++i) Admit(cache, source.Next());
  if (cache.Stats().evicted != 0) throw std::runtime_error("some were evicted: --entries is too small");
  measured.ratios["near_overhead_bytes"] = take(&measured.absolute["near_charged_overhead_bytes"]);
  while (cache.Stats().evicted < flags.entries) {
    for (int i = 0; i < 10'000; ++i) Admit(cache, source.Next());
  }
  double charged = 0;
  measured.absolute["near_evicting_overhead_bytes"] = take(&charged);
  measured.absolute["near_entries"] = flags.entries;
  return measured;
}

int Run(const Flags& flags) {
  const Measured measured = Measure(flags);
  for (const auto* numbers : {&measured.ratios, &measured.absolute}) {
    for (const auto& [name, number] : *numbers) std::printf("%-30s %12.1f\n", name.c_str(), number);
  }
  if (!flags.json.empty()) WriteMeasured(flags.json, measured);
  return 0;
}

}  // namespace
}  // namespace larder

int main(int argc, char** argv) {
  larder::Flags flags;
  CLI::App app("What an entry of the near tier takes beyond its key and value");
  app.add_option("--entries", flags.entries, "How many are put in")->capture_default_str();
  app.add_option("--key-size", flags.key_size, "Bytes of every key")->capture_default_str();
  app.add_option("--value-size", flags.value_size, "Bytes of every value")->capture_default_str();
  app.add_option("--json", flags.json, "File to write {\"ratios\": …, \"absolute\": …} to");
  try {
    app.parse(argc, argv);
    return larder::Run(flags);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : larder::kExitFailed;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "near_memory: %s\n", error.what());
    return larder::kExitFailed;
  }
}
