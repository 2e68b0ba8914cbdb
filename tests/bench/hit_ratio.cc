// hit_ratio: replays a trace against the near tier as it ships, beside exact LRU over as many objects.
//
// All entries are of one size, and the capacity in bytes is what so many of them are charged, so that the near tier
// never holds more objects than LRU does.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <nlohmann/json.hpp>
#include <string>
#include <unordered_set>
#include <vector>

#include "core/near_cache.h"
#include "tests/bench/trace_file.h"
#include "tests/support/workloads.h"

namespace larder {
namespace {

constexpr int kExitBelowMargin = 1;
constexpr int kExitUsage = 2;

struct Flags {
  std::string trace;
  std::vector<size_t> objects;
  size_t value_size = 1'000;
  int shards = 0;
  double margin = -1;
  bool json = false;
};

struct Row {
  size_t objects = 0;
  size_t capacity_bytes = 0;
  uint64_t most_held = 0;
  double hit_ratio = 0;
  double lru_hit_ratio = 0;
};

Row Measure(const std::vector<uint32_t>& trace, size_t objects, const Flags& flags) {
  char key[16];
  const auto key_of = [&key](uint32_t id) {
    return std::string_view(key, static_cast<size_t>(std::snprintf(key, sizeof(key), "object:%08x", id)));
  };
  const EntryRef entry = Entry::Create({.expires_nanos = INT64_MAX}, "", std::string(flags.value_size, 'v'));
  Row row;
  row.objects = objects;
  row.capacity_bytes = objects * NearCache::Charge(key_of(0).size(), *entry);
  NearCache cache({.capacity_bytes = row.capacity_bytes, .shards = flags.shards});
  size_t hits = 0;
  for (const uint32_t id : trace) {
    const std::string_view name = key_of(id);
    const uint64_t hash = NearCache::Hash(name);
    if (cache.Find(name, hash, 0)) {
      ++hits;
    } else {
      cache.Admit(name, hash, entry, [] { return true; });
    }
  }
  row.most_held = cache.Stats().entries;  // a cache without expiry never shrinks
  row.hit_ratio = static_cast<double>(hits) / static_cast<double>(trace.size());
  row.lru_hit_ratio = LruHitRatio(trace, objects);
  return row;
}

void PrintTable(const std::vector<uint32_t>& trace, const std::vector<Row>& rows) {
  const size_t distinct = std::unordered_set<uint32_t>(trace.begin(), trace.end()).size();
  std::printf("%zu requests for %zu objects\n", trace.size(), distinct);
  std::printf("%10s %14s %10s %9s %9s %9s\n", "objects", "bytes", "held", "near", "lru", "diff");
  for (const Row& row : rows) {
    std::printf("%10zu %14zu %10lu %9.4f %9.4f %+9.4f\n", row.objects, row.capacity_bytes,
                static_cast<unsigned long>(row.most_held), row.hit_ratio, row.lru_hit_ratio,
                row.hit_ratio - row.lru_hit_ratio);
  }
}

void PrintJson(const Flags& flags, const std::vector<uint32_t>& trace, const std::vector<Row>& rows) {
  nlohmann::json out = {{"trace", flags.trace}, {"requests", trace.size()}, {"results", nlohmann::json::array()}};
  for (const Row& row : rows) {
    out["results"].push_back({{"objects", row.objects},
                              {"capacity_bytes", row.capacity_bytes},
                              {"held", row.most_held},
                              {"hit_ratio", row.hit_ratio},
                              {"lru_hit_ratio", row.lru_hit_ratio}});
  }
  std::printf("%s\n", out.dump(2).c_str());
}

int Run(const Flags& flags) {
  const std::vector<uint32_t> trace = ReadTrace(flags.trace);
  std::vector<Row> rows;
  for (const size_t objects : flags.objects) rows.push_back(Measure(trace, objects, flags));
  if (flags.json) {
    PrintJson(flags, trace, rows);
  } else {
    PrintTable(trace, rows);
  }
  const bool below = std::any_of(rows.begin(), rows.end(), [&](const Row& row) {
    return row.most_held > row.objects || row.hit_ratio < row.lru_hit_ratio - flags.margin;
  });
  return flags.margin >= 0 && below ? kExitBelowMargin : 0;
}

}  // namespace
}  // namespace larder

int main(int argc, char** argv) {
  larder::Flags flags;
  CLI::App app("Hit ratio of the near tier on a trace, beside exact LRU");
  app.add_option("trace", flags.trace, "TRACE.u32, TRACE.u32.zst, or zipf:REQUESTS:OBJECTS:EXPONENT")->required();
  app.add_option("--objects", flags.objects, "Capacities, as numbers of objects")->delimiter(',')->required();
  app.add_option("--value-size", flags.value_size, "Bytes of every value")->capture_default_str();
  app.add_option("--shards", flags.shards, "Shards; 0: as many as the near tier chooses")->capture_default_str();
  app.add_option("--margin", flags.margin, "Exit with 1 if a hit ratio is below LRU's by more than this");
  app.add_flag("--json", flags.json, "Print JSON");
  try {
    app.parse(argc, argv);
    return larder::Run(flags);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : larder::kExitUsage;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "hit_ratio: %s\n", error.what());
    return larder::kExitUsage;
  }
}
