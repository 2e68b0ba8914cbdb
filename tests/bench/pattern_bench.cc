// What group invalidations cost a read: one match, and a judgement beside many active stamps.
#include <benchmark/benchmark.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/pattern.h"
#include "server/store/stamp_table.h"

namespace larder {
namespace {

constexpr size_t kLongestPattern = 128;
constexpr size_t kLongestKey = 512;

void Match(benchmark::State& state, const std::string& pattern, const std::string& text) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(pattern.data());
    benchmark::DoNotOptimize(MatchesPattern(pattern, text));
  }
}

std::string Repeated(std::string_view what, size_t size) {
  std::string all;
  while (all.size() + what.size() <= size) all += what;
  return all;
}

const std::string& LongestKey() {
  static const std::string key(kLongestKey, 'a');
  return key;
}

BENCHMARK_CAPTURE(Match, as_written, std::string("analytics:*user_id:42*"),
                  std::string("analytics:daily:region:eu:user_id:42:2024-05-01"));
// Every place of the key is tried, and fails at the end of what is looked for.
BENCHMARK_CAPTURE(Match, worst_literal, "*" + std::string(kLongestPattern - 3, 'a') + "b*", LongestKey());
BENCHMARK_CAPTURE(Match, worst_half_long, "*" + std::string(kLongestPattern / 2, 'a') + "b*", LongestKey());
BENCHMARK_CAPTURE(Match, worst_wild, "*" + std::string(kLongestPattern - 3, '?') + "b*", LongestKey());
BENCHMARK_CAPTURE(Match, worst_mixed, "*?" + Repeated("a?", kLongestPattern - 4) + "b*", LongestKey());
BENCHMARK_CAPTURE(Match, worst_stars, Repeated("*a", kLongestPattern - 2) + "*b", LongestKey());
BENCHMARK_CAPTURE(Match, worst_stars_in_the_middle, Repeated("*a", kLongestPattern - 3) + "*b*", LongestKey());
BENCHMARK_CAPTURE(Match, worst_seven_byte_tail, "*" + Repeated("a", 14) + "b*", LongestKey());

Stamp Pattern(std::string name, uint64_t epoch) {
  return {.group = Stamp::Group::kPattern, .soft = false, .epoch = epoch, .name = std::move(name)};
}

std::string Numbered(const std::string& before, unsigned number, const std::string& after) {
  return before + std::to_string(100'000 + number) + after;
}

// None of the stamps concerns the key, and all are later than the entry: nothing ends the search early.
void Judge(benchmark::State& state, const StampTable& table, const std::string& key, uint64_t epoch) {
  const std::string tags = TagList::Encode({"product", "category:7", "tenant:42"});
  for (auto _ : state) {
    benchmark::DoNotOptimize(epoch);
    const Judgement judgement = table.Judge(key, TagList(tags), epoch);
    if (judgement != Judgement::kValid) state.SkipWithError("it is concerned");
  }
}

void BM_JudgeByPrefixesOfFewLengths(benchmark::State& state) {
  StampTable table;
  for (unsigned i = 0; i < state.range(0); ++i) {
    table.Add(Pattern(Numbered("tenant:", i, i % 2 == 0 ? ":*" : ":product:*"), i + 1));
  }
  Judge(state, table, "tenant:product:detail:00004711:summary", 0);
}
BENCHMARK(BM_JudgeByPrefixesOfFewLengths)->Arg(1'000)->Arg(100'000);

void BM_JudgeByPrefixesOf128Lengths(benchmark::State& state) {
  StampTable table;
  for (unsigned i = 0; i < state.range(0); ++i) {
    const std::string name = Numbered("", i, ":") + std::string(kLongestPattern, 'x');
    table.Add(Pattern(name.substr(0, i % kLongestPattern) + "\x01*", i + 1));
  }
  Judge(state, table, std::string(160, 'x'), 0);
}
BENCHMARK(BM_JudgeByPrefixesOf128Lengths)->Arg(1'000)->Arg(100'000);

// The worst: 127 prefixes of the key itself among the thousand, so that each look-up finds something, and hard stamps
// of each length, so that none is left out.
void BM_JudgeByNestedPrefixes(benchmark::State& state) {
  StampTable table;
  const std::string key(160, 'x');
  for (unsigned i = 0; i < 1'000; ++i) {
    Stamp stamp =
        Pattern(key.substr(0, i % kLongestPattern) + (i < kLongestPattern ? "" : Numbered("", i, "")) + "*", i + 1);
    stamp.soft = i < kLongestPattern;
    table.Add(stamp);
  }
  const std::string none;
  for (auto _ : state) benchmark::DoNotOptimize(table.Judge(key, TagList(none), 0));
}
BENCHMARK(BM_JudgeByNestedPrefixes);

void BM_JudgeByOtherPatterns(benchmark::State& state) {
  StampTable table;
  for (unsigned i = 0; i < state.range(0); ++i) table.Add(Pattern(Numbered("analytics:*user_id:", i, ":*"), i + 1));
  Judge(state, table, "analytics:daily:region:eu:user_id:none:2024-05-01", 0);
}
BENCHMARK(BM_JudgeByOtherPatterns)->Arg(10)->Arg(1'000);

// As most entries are: written after most of the invalidations.
void BM_JudgeOfALateEntry(benchmark::State& state) {
  StampTable table;
  for (unsigned i = 0; i < 1'000; ++i) {
    table.Add(Pattern(Numbered("analytics:*user_id:", i, ":*"), 2 * i + 1));
    table.Add(Pattern(Numbered("tenant:", i, ":*"), 2 * i + 2));
  }
  Judge(state, table, "analytics:daily:region:eu:user_id:none:2024-05-01", 1'996);
}
BENCHMARK(BM_JudgeOfALateEntry);

void BM_AddAndForget(benchmark::State& state) {
  StampTable table;
  uint64_t epoch = 0;
  for (auto _ : state) {
    ++epoch;
    table.Add(Pattern(Numbered("tenant:", static_cast<unsigned>(epoch), ":*"), epoch));
    if (epoch > 100'000) table.Forget(epoch - 100'000);
  }
}
BENCHMARK(BM_AddAndForget);

}  // namespace
}  // namespace larder
