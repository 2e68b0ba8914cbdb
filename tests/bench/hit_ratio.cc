// hit_ratio: replays traces against the near tier as it ships, beside exact LRU and Belady's bound over as many
// objects.
//
// All entries are of one size, and the capacity in bytes is what so many of them are charged, so that the near tier
// never holds more objects than the others do.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <unordered_set>
#include <vector>

#include "core/near_cache.h"
#include "tests/bench/measured.h"
#include "tests/bench/trace_file.h"
#include "tests/support/workloads.h"

namespace larder {
namespace {

constexpr int kExitBelowMargin = 1;
constexpr int kExitUsage = 2;

struct Flags {
  std::vector<std::string> traces;
  std::vector<std::string> adversarial;
  std::vector<size_t> objects;
  std::vector<double> percent;
  size_t value_size = 1'000;
  int shards = 0;
  double margin = -1;
  std::string json;
};

struct Row {
  std::string trace;  // its name, short
  bool adversarial = false;
  size_t objects = 0;
  size_t capacity_bytes = 0;
  uint64_t most_held = 0;
  double hit_ratio = 0;
  double lru = 0;
  double opt = 0;

  double points_above_lru() const { return 100 * (hit_ratio - lru); }
  // Of what lies between LRU and the bound.
  double gap_closed() const { return opt > lru ? (hit_ratio - lru) / (opt - lru) : 0; }
};

Row Replay(const std::vector<uint32_t>& trace, size_t objects, const Flags& flags) {
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
  row.lru = LruHitRatio(trace, objects);
  row.opt = OptHitRatio(trace, objects);
  return row;
}

// "orm-busy" of "traces/orm-busy.u32.zst".
std::string ShortName(const std::string& trace) {
  const std::string name = std::filesystem::path(trace).filename().string();
  return name.substr(0, name.find(".u32"));
}

void Print(const Row& row) {
  std::printf("%-24s %10zu %14zu %10lu %8.4f %8.4f %8.4f %+7.2f %7.3f\n", row.trace.c_str(), row.objects,
              row.capacity_bytes, static_cast<unsigned long>(row.most_held), row.hit_ratio, row.lru, row.opt,
              row.points_above_lru(), row.gap_closed());
  std::fflush(stdout);
}

void MeasureTrace(const std::string& name, bool adversarial, const Flags& flags, std::vector<Row>* rows) {
  const std::vector<uint32_t> trace = ReadTrace(name);
  const auto distinct = static_cast<double>(std::unordered_set<uint32_t>(trace.begin(), trace.end()).size());
  std::vector<size_t> capacities = flags.objects;
  for (const double percent : flags.percent) capacities.push_back(static_cast<size_t>(distinct * percent / 100));
  for (const size_t objects : capacities) {
    Row row = Replay(trace, objects, flags);
    row.trace = ShortName(name);
    row.adversarial = adversarial;
    Print(row);
    rows->push_back(std::move(row));
  }
}

Measured Summarise(const std::vector<Row>& rows) {
  Measured measured;
  double gaps = 0;
  size_t counted = 0;
  double worst = 100;
  for (const Row& row : rows) {
    worst = std::min(worst, row.points_above_lru());
    if (!row.adversarial) {
      gaps += row.gap_closed();
      ++counted;
    }
    measured.absolute["hit_ratio_" + row.trace + "_" + std::to_string(row.objects)] = row.hit_ratio;
  }
  if (counted > 0) measured.ratios["hit_gap_closed"] = gaps / static_cast<double>(counted);
  measured.ratios["hit_worst_vs_lru"] = worst;
  return measured;
}

int Run(const Flags& flags) {
  std::printf("%-24s %10s %14s %10s %8s %8s %8s %7s %7s\n", "trace", "objects", "bytes", "held", "near", "lru", "opt",
              "points", "gap");
  std::vector<Row> rows;
  for (const std::string& trace : flags.traces) MeasureTrace(trace, /*adversarial=*/false, flags, &rows);
  for (const std::string& trace : flags.adversarial) MeasureTrace(trace, /*adversarial=*/true, flags, &rows);
  const Measured measured = Summarise(rows);
  for (const auto& [name, number] : measured.ratios) std::printf("%s %.3f\n", name.c_str(), number);
  if (!flags.json.empty()) WriteMeasured(flags.json, measured);
  const bool below = std::any_of(rows.begin(), rows.end(), [&](const Row& row) {
    return row.most_held > row.objects || row.hit_ratio < row.lru - flags.margin;
  });
  return flags.margin >= 0 && below ? kExitBelowMargin : 0;
}

}  // namespace
}  // namespace larder

int main(int argc, char** argv) {
  larder::Flags flags;
  CLI::App app("Hit ratio of the near tier on traces, beside exact LRU and Belady's bound");
  app.add_option("traces", flags.traces, "TRACE.u32, TRACE.u32.zst, or zipf:REQUESTS:OBJECTS:EXPONENT")->required();
  app.add_option("--adversarial", flags.adversarial, "Traces that count for hit_worst_vs_lru alone")->delimiter(',');
  CLI::Option_group* const capacities = app.add_option_group("capacities");
  capacities->add_option("--objects", flags.objects, "Capacities, as numbers of objects")->delimiter(',');
  capacities->add_option("--percent", flags.percent, "Capacities, as parts of each trace's objects")->delimiter(',');
  capacities->require_option(1);
  app.add_option("--value-size", flags.value_size, "Bytes of every value")->capture_default_str();
  app.add_option("--shards", flags.shards, "Shards; 0: as many as the near tier chooses")->capture_default_str();
  app.add_option("--margin", flags.margin, "Exit with 1 if a hit ratio is below LRU's by more than this");
  app.add_option("--json", flags.json, "File to write {\"ratios\": …, \"absolute\": …} to");
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
