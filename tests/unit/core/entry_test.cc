#include "core/entry.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <utility>

namespace larder {
namespace {

std::string AllBytes() {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes.push_back(static_cast<char>(i));
  return bytes;
}

TEST(EntryTest, KeepsNumbersContentTypeAndValue) {
  const EntryMeta meta = {
      .version = 1, .generation = 2, .epoch = 3, .created_nanos = 4, .expires_nanos = 5, .read_nanos = 6};
  const EntryRef entry = Entry::Create(meta, "text/plain", AllBytes());
  EXPECT_EQ(entry->meta().version, 1u);
  EXPECT_EQ(entry->meta().generation, 2u);
  EXPECT_EQ(entry->meta().epoch, 3u);
  EXPECT_EQ(entry->meta().created_nanos, 4);
  EXPECT_EQ(entry->meta().expires_nanos, 5);
  EXPECT_EQ(entry->meta().read_nanos, 6);
  EXPECT_EQ(entry->content_type(), "text/plain");
  EXPECT_EQ(entry->value(), AllBytes());
  EXPECT_EQ(entry->validated_at(), 0u);
}

TEST(EntryTest, BothMayBeEmpty) {
  const EntryRef entry = Entry::Create({}, "", "");
  EXPECT_EQ(entry->content_type(), "");
  EXPECT_EQ(entry->value(), "");
  EXPECT_EQ(entry->footprint(), sizeof(Entry));
}

TEST(EntryTest, LongestContentTypeIsKept) {
  const std::string content_type(65'535, 't');
  const EntryRef entry = Entry::Create({}, content_type, "v");
  EXPECT_EQ(entry->content_type(), content_type);
  EXPECT_EQ(entry->value(), "v");
}

TEST(EntryTest, FootprintCountsThePayload) {
  EXPECT_EQ(Entry::Create({}, "abc", "defgh")->footprint(), sizeof(Entry) + 8);
}

TEST(EntryTest, ValueIsWrittenInPlace) {
  const EntryRef entry = Entry::CreateUninitialized({}, "t", 3);
  std::memcpy(entry->mutable_value(), "xyz", 3);
  EXPECT_EQ(entry->content_type(), "t");
  EXPECT_EQ(entry->value(), "xyz");
}

TEST(EntryTest, StampSetsGenerationAndEpochAlone) {
  const EntryRef entry = Entry::Create({.version = 7, .expires_nanos = 8}, "", "v");
  entry->Stamp(11, 12);
  EXPECT_EQ(entry->meta().generation, 11u);
  EXPECT_EQ(entry->meta().epoch, 12u);
  EXPECT_EQ(entry->meta().version, 7u);
  EXPECT_EQ(entry->meta().expires_nanos, 8);
}

TEST(EntryTest, ValidatedAtIsSetThroughAConstEntry) {
  const EntryRef entry = Entry::Create({}, "", "v");
  std::as_const(*entry).set_validated_at(9);
  EXPECT_EQ(entry->validated_at(), 9u);
}

// The sanitizers would tell of a reference too many or too few.
TEST(EntryRefTest, CopiesShareAndMovesHandOver) {
  EntryRef first = Entry::Create({}, "", "v");
  EntryRef second = first;
  EXPECT_EQ(first.get(), second.get());
  EntryRef third = std::move(first);
  EXPECT_FALSE(first);  // NOLINT: a moved-from reference is null
  second = nullptr;
  EXPECT_FALSE(second);
  ASSERT_TRUE(third);
  EXPECT_EQ((*third).value(), "v");
}

TEST(EntryRefTest, AssigningToItselfKeepsTheEntry) {
  EntryRef entry = Entry::Create({}, "", "v");
  const EntryRef& alias = entry;
  entry = alias;
  EXPECT_EQ(entry->value(), "v");
}

TEST(EntryRefTest, LeakedReferenceComesBackByAdopt) {
  EntryRef entry = Entry::Create({}, "", "v");
  Entry* bare = entry.Leak();
  EXPECT_FALSE(entry);
  const EntryRef again = EntryRef::Adopt(bare);
  EXPECT_EQ(again->value(), "v");
}

}  // namespace
}  // namespace larder
