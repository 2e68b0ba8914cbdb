#include "core/reuse_model.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

namespace larder {
namespace {

constexpr int kStepsPerOctave = 8;
constexpr uint8_t kMaxHits = 127;  // seven bits
constexpr double kHalfLifePerEntry = 16;
constexpr double kMinHalfLife = 16'000;

// The weight of what is assumed of each cell, as a number of entries that passed through it.
constexpr double kAssumedEntries = 4;

// Eighths of a power of two, linear between them; at least 1.
uint8_t LogScale(uint32_t time) {
  const auto octave = static_cast<int>(std::bit_width(time | 1)) - 1;
  const uint64_t eighths = (uint64_t{time} * kStepsPerOctave >> octave) % kStepsPerOctave;
  return static_cast<uint8_t>(std::max<uint64_t>(1, octave * kStepsPerOctave + eighths));
}

// The accesses between an age and the next one.
double WidthOf(size_t age) { return age == 0 ? 1 : static_cast<double>(uint64_t{1} << (age - 1)); }

// The chance of a hit while an entry's age doubles.
double AssumedChance(size_t hit_class) {
  return 0.5 * (static_cast<double>(hit_class) + 0.5) / (static_cast<double>(hit_class) + 2.0);
}

// A span of ages, for an entry that reaches its beginning.
struct Span {
  double hit = 0;      // chance of a hit in it
  double time = 0;     // expected time in it
  double survive = 1;  // chance to reach its end

  double worth() const { return hit / time; }

  Span Then(const Span& later) const {
    return {hit + survive * later.hit, time + survive * later.time, survive * later.survive};
  }
};

}  // namespace

void AccessRecord::Renew(uint32_t now) {
  const uint8_t latest = LogScale(now - last_access);
  gap = gap == 0 ? latest : static_cast<uint8_t>((gap + latest + 1) / 2);
  if (hits < kMaxHits) ++hits;
  last_access = now;
}

ReuseModel::ReuseModel() {
  for (size_t number = 0; number < kClasses; ++number) RankClass(number);
}

size_t ReuseModel::AgeOf(const AccessRecord& record, uint32_t now) {
  return std::min<size_t>(std::bit_width(now - record.last_access), kAges - 1);
}

// Hits: 0, 1, 2, 3-4, 5-8, ... 33 and more. Gaps: none, then by their relation to the number of entries.
size_t ReuseModel::ClassOf(const AccessRecord& record) const {
  const size_t hit_class =
      record.hits == 0 ? 0 : std::min<size_t>(std::bit_width(record.hits - 1u) + 1, kHitClasses - 1);
  if (record.gap == 0) return hit_class * kGapClasses;
  const int relation = record.gap / kStepsPerOctave - entries_log2_;
  return hit_class * kGapClasses + 1 + (relation >= -4 ? 1 : 0) + (relation >= -1 ? 1 : 0);
}

void ReuseModel::Refresh(size_t entries, uint32_t interval) {
  entries_log2_ = static_cast<int>(std::bit_width(entries | 1)) - 1;
  const double half_life = std::max(kMinHalfLife, kHalfLifePerEntry * static_cast<double>(entries));
  const double kept = std::exp2(-static_cast<double>(interval) * kClasses / half_life);
  for (size_t age = 0; age < kAges; ++age) {
    const size_t cell = next_class_ * kAges + age;
    hits_[cell] = static_cast<float>(hits_[cell] * kept) + static_cast<float>(std::exchange(new_hits_[cell], 0));
    presence_[cell] *= kept;
  }
  RankClass(next_class_);
  next_class_ = (next_class_ + 1) % kClasses;
}

// From the oldest age to the youngest. The best span that begins with an age is that age and, as long as they are worth
// more than what there is so far, the best spans that follow it. The stack holds the spans that follow, the next one on
// top; each is worth less than the one above it.
void ReuseModel::RankClass(size_t number) {
  const double assumed_hits = kAssumedEntries * AssumedChance(number / kGapClasses);
  std::array<Span, kAges> stack;
  size_t depth = 0;
  for (size_t age = kAges; age-- > 0;) {
    const size_t cell = number * kAges + age;
    const double width = WidthOf(age);
    const double hazard = (hits_[cell] + assumed_hits) / (presence_[cell] + kAssumedEntries * width);
    Span span;
    span.survive = 1 / (1 + hazard * width);
    span.hit = 1 - span.survive;
    span.time = width * span.survive;
    while (depth > 0 && stack[depth - 1].worth() >= span.worth()) span = span.Then(stack[--depth]);
    stack[depth++] = span;
    worth_[cell] = static_cast<float>(span.worth());
  }
}

}  // namespace larder
