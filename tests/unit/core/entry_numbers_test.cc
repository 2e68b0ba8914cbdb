// Whatever numbers an entry is given, it gives back, however few bytes it keeps them in.
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/entry.h"

namespace larder {
namespace {

constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
constexpr int64_t kDay = int64_t{86'400} * kNanosPerSecond;

void ExpectSame(const EntryMeta& meta, const EntryMeta& expected) {
  EXPECT_EQ(meta.version, expected.version);
  EXPECT_EQ(meta.generation, expected.generation);
  EXPECT_EQ(meta.epoch, expected.epoch);
  EXPECT_EQ(meta.created_nanos, expected.created_nanos);
  EXPECT_EQ(meta.expires_nanos, expected.expires_nanos);
  EXPECT_EQ(meta.stale_nanos, expected.stale_nanos);
  EXPECT_EQ(meta.read_nanos, expected.read_nanos);
  EXPECT_EQ(meta.leased_nanos, expected.leased_nanos);
  EXPECT_EQ(meta.sliding_nanos, expected.sliding_nanos);
  EXPECT_EQ(meta.absent, expected.absent);
  EXPECT_EQ(meta.unshared, expected.unshared);
}

// With nothing else in the entry, and with everything.
void ExpectKept(const EntryMeta& meta) {
  const EntryRef bare = Entry::Create(meta, "", "");
  ExpectSame(bare->meta(), meta);
  EXPECT_EQ(bare->expires_nanos(), meta.expires_nanos);
  EXPECT_EQ(bare->key(), "");
  EXPECT_EQ(bare->value(), "");

  const std::string tags = TagList::Encode({"red", "blue"});
  const EntryRef full = Entry::Create(meta, "text/plain", "value", tags, "the key");
  for (const EntryRef& entry : {full, bare->WithKey("a key"), full->WithKey("")}) ExpectSame(entry->meta(), meta);
  EXPECT_EQ(full->key(), "the key");
  EXPECT_EQ(full->tags().encoded(), tags);
  EXPECT_EQ(full->content_type(), "text/plain");
  EXPECT_EQ(full->value(), "value");
}

std::vector<uint64_t> Counts() {
  std::vector<uint64_t> counts = {0, UINT64_MAX};
  for (int bits = 0; bits < 64; bits += 4) {
    counts.push_back(uint64_t{1} << bits);
    counts.push_back((uint64_t{1} << bits) + 1);
    counts.push_back((uint64_t{1} << bits) - 1);
  }
  return counts;
}

// To the nanosecond, in whole milliseconds, and at the limits.
std::vector<int64_t> Times() {
  std::vector<int64_t> times = {0, kMin, kMin + 1, kMax, kMax - 1};
  for (const int64_t time : {int64_t{1}, kNanosPerMilli, 255 * kNanosPerMilli, 256 * kNanosPerMilli, 300 * kDay}) {
    for (const int64_t near : {time - 1, time, time + 1}) {
      times.push_back(near);
      times.push_back(-near);
    }
  }
  return times;
}

constexpr uint64_t EntryMeta::*kCountFields[] = {&EntryMeta::version, &EntryMeta::generation, &EntryMeta::epoch};
constexpr int64_t EntryMeta::*kTimeFields[] = {&EntryMeta::created_nanos, &EntryMeta::expires_nanos,
                                               &EntryMeta::stale_nanos,   &EntryMeta::read_nanos,
                                               &EntryMeta::leased_nanos,  &EntryMeta::sliding_nanos};
constexpr bool EntryMeta::*kFlagFields[] = {&EntryMeta::absent, &EntryMeta::unshared};

// Beside defaults, and beside what an entry from the store has.
std::vector<EntryMeta> Backgrounds() {
  const int64_t sent = 3 * kDay + 12'345;
  return {EntryMeta(),
          {.version = UINT64_MAX - 7,
           .generation = 1,
           .epoch = 300,
           .created_nanos = sent - 70 * kNanosPerMilli,
           .expires_nanos = sent + 300'000 * kNanosPerMilli,
           .stale_nanos = sent + 200'000 * kNanosPerMilli,
           .read_nanos = sent}};
}

TEST(EntryNumbersTest, EachAloneIsKeptAtAnyValue) {
  for (const EntryMeta& background : Backgrounds()) {
    ExpectKept(background);
    for (const auto field : kCountFields) {
      for (const uint64_t count : Counts()) {
        EntryMeta meta = background;
        meta.*field = count;
        ExpectKept(meta);
      }
    }
    for (const auto field : kTimeFields) {
      for (const int64_t time : Times()) {
        EntryMeta meta = background;
        meta.*field = time;
        ExpectKept(meta);
      }
    }
    for (const auto field : kFlagFields) {
      EntryMeta meta = background;
      meta.*field = true;
      ExpectKept(meta);
    }
  }
}

// Never has no distance to be told by, though there is an expiry so many milliseconds from it.
TEST(EntryNumbersTest, NeverStaleIsKeptBesideAnyExpiry) {
  const uint64_t millis = (uint64_t{1} << 63) / kNanosPerMilli + 500'000'000;
  const uint64_t expires = static_cast<uint64_t>(kMax) + millis * kNanosPerMilli;  // wraps around
  ExpectKept({.version = 1, .expires_nanos = static_cast<int64_t>(expires)});
  ExpectKept({.version = 1, .expires_nanos = static_cast<int64_t>(expires), .read_nanos = 77});
}

TEST(EntryNumbersTest, AllTogetherAreKept) {
  const std::vector<uint64_t> counts = Counts();
  const std::vector<int64_t> times = Times();
  std::mt19937_64 random(1);
  for (int i = 0; i < 20'000; ++i) {
    EntryMeta meta;
    for (const auto field : kCountFields) meta.*field = counts[random() % counts.size()];
    for (const auto field : kTimeFields) meta.*field = times[random() % times.size()];
    for (const auto field : kFlagFields) meta.*field = random() % 2 == 0;
    ExpectKept(meta);
    if (testing::Test::HasFailure()) FAIL() << "at " << i;
  }
}

TEST(EntryNumbersTest, WhatHasNoGenerationYetTakesAnyStamp) {
  for (EntryMeta meta : Backgrounds()) {
    meta.generation = 0;
    for (const uint64_t count : Counts()) {
      const EntryRef entry = Entry::Create(meta, "text/plain", "value", TagList::Encode({"red"}), "key");
      // The second takes the place of the first.
      entry->Stamp(3, UINT64_MAX);
      entry->Stamp(count, count);
      EntryMeta expected = meta;
      expected.generation = count;
      expected.epoch = count;
      ExpectSame(entry->meta(), expected);
      EXPECT_EQ(entry->key(), "key");
      EXPECT_EQ(entry->content_type(), "text/plain");
      EXPECT_EQ(entry->value(), "value");
    }
  }
}

TEST(EntryNumbersTest, AStampWithoutRoomLeavesNoGeneration) {
  const EntryRef entry = Entry::Create({.version = 1, .generation = 2, .epoch = 255}, "t", "value", "", "key");
  entry->Stamp(3, 200);
  EXPECT_EQ(entry->meta().generation, 3u);
  EXPECT_EQ(entry->meta().epoch, 200u);
  entry->Stamp(3, 256);
  EXPECT_EQ(entry->meta().generation, 0u);
  EXPECT_EQ(entry->meta().epoch, 0u);
  EXPECT_EQ(entry->meta().version, 1u);
  EXPECT_EQ(entry->key(), "key");
  EXPECT_EQ(entry->value(), "value");
}

TEST(EntryNumbersTest, ACopyWithAnotherKeyDiffersInNothingElse) {
  const std::string tags = TagList::Encode({"red"});
  const EntryRef entry = Entry::Create(Backgrounds().back(), "text/plain", "value", tags, "key");
  entry->set_verdict(77);
  const std::string long_key(70'000, 'k');
  const EntryRef copy = entry->WithKey(long_key);
  ExpectSame(copy->meta(), entry->meta());
  EXPECT_EQ(copy->key(), long_key);
  EXPECT_EQ(copy->tags().encoded(), tags);
  EXPECT_EQ(copy->content_type(), "text/plain");
  EXPECT_EQ(copy->value(), "value");
  EXPECT_EQ(copy->verdict(), 77u);
  EXPECT_EQ(entry->key(), "key");
  EXPECT_EQ(copy->footprint(), entry->FootprintWithKey(long_key.size()));
  EXPECT_EQ(entry->footprint(), copy->FootprintWithKey(3));
}

// docs/benchmarks.md tells what an entry takes: it is to be told there if this changes.
TEST(EntryNumbersTest, AnEntryFromTheStoreTakesFiftyBytesBesideItsTexts) {
  EntryMeta meta = Backgrounds().back();
  meta.created_nanos = meta.read_nanos - 100'000 * kNanosPerMilli;  // three bytes
  meta.stale_nanos = meta.expires_nanos;                            // none
  const EntryRef entry = Entry::Create(meta, "", std::string(100, 'v'), {}, std::string(32, 'k'));
  EXPECT_EQ(entry->footprint(), 132u + 50u);
}

}  // namespace
}  // namespace larder
