#include "core/entry.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace larder {
namespace {

using std::string_view_literals::operator""sv;

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
  EXPECT_EQ(entry->verdict(), 0u);
  EXPECT_TRUE(entry->tags().empty());
}

TEST(EntryTest, BothMayBeEmpty) {
  const EntryRef entry = Entry::Create({}, "", "");
  EXPECT_EQ(entry->content_type(), "");
  EXPECT_EQ(entry->value(), "");
  EXPECT_EQ(entry->key(), "");
}

TEST(EntryTest, LongestContentTypeIsKept) {
  const std::string content_type(65'535, 't');
  const EntryRef entry = Entry::Create({}, content_type, "v");
  EXPECT_EQ(entry->content_type(), content_type);
  EXPECT_EQ(entry->value(), "v");
}

TEST(EntryTest, FootprintCountsThePayload) {
  const size_t empty = Entry::Create({}, "", "")->footprint();
  EXPECT_EQ(Entry::Create({}, "", "defgh", "", "key")->footprint(), empty + 8 + 2) << "and a byte for each size";
  EXPECT_EQ(Entry::Create({}, "abc", "", "\1t")->footprint(), empty + 5 + 4) << "and two bytes for each size";
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

TEST(EntryTest, VerdictIsSetThroughAConstEntry) {
  const EntryRef entry = Entry::Create({}, "", "v");
  std::as_const(*entry).set_verdict(9);
  EXPECT_EQ(entry->verdict(), 9u);
}

std::vector<std::string> TagsOf(TagList tags) {
  std::vector<std::string> all;
  for (std::string_view tag : tags) all.emplace_back(tag);
  return all;
}

TEST(EntryTest, KeepsTagsBesideContentTypeAndValue) {
  const std::string tags = TagList::Encode({"red", AllBytes().substr(0, 255), "x"});
  const EntryRef entry = Entry::Create({}, "text/plain", AllBytes(), tags);
  EXPECT_EQ(entry->tags().encoded(), tags);
  EXPECT_EQ(TagsOf(entry->tags()), (std::vector<std::string>{"red", AllBytes().substr(0, 255), "x"}));
  EXPECT_EQ(entry->content_type(), "text/plain");
  EXPECT_EQ(entry->value(), AllBytes());
}

TEST(EntryTest, ValueIsWrittenInPlaceBehindTheTags) {
  const EntryRef entry = Entry::CreateUninitialized({}, "t", 3, TagList::Encode({"red"}));
  std::memcpy(entry->mutable_value(), "xyz", 3);
  EXPECT_EQ(TagsOf(entry->tags()), std::vector<std::string>{"red"});
  EXPECT_EQ(entry->content_type(), "t");
  EXPECT_EQ(entry->value(), "xyz");
}

TEST(EntryTest, TheLongestTagsAreKept) {
  const std::string tag(TagList::kMaxTagBytes, 't');
  const std::string tags = TagList::Encode(std::vector<std::string_view>(255, tag));  // 65,280 bytes
  const EntryRef entry = Entry::Create({}, "", "v", tags);
  EXPECT_EQ(TagsOf(entry->tags()), std::vector<std::string>(255, tag));
  EXPECT_EQ(entry->value(), "v");
}

TEST(TagListTest, NoTagsAreNoBytes) {
  EXPECT_EQ(TagList::Encode({}), "");
  EXPECT_TRUE(TagList("").empty());
  EXPECT_TRUE(TagsOf(TagList("")).empty());
}

TEST(TagListTest, EachTagIsALengthAndItsBytes) {
  using std::string_literals::operator""s;
  EXPECT_EQ(TagList::Encode({"ab", "c"}), "\2ab\1c");
  EXPECT_EQ(TagsOf(TagList("\2ab\1c")), (std::vector<std::string>{"ab", "c"}));
  const std::string longest = TagList::Encode({std::string(255, 't')});
  EXPECT_EQ(longest, "\xff"s + std::string(255, 't'));
  EXPECT_EQ(TagsOf(TagList(longest)), std::vector<std::string>{std::string(255, 't')});
  EXPECT_EQ(TagsOf(TagList("\3a\0b"sv)), std::vector<std::string>{"a\0b"s});
}

TEST(TagListTest, TellsWhatIsWellFormed) {
  EXPECT_TRUE(TagList::IsWellFormed(""));
  EXPECT_TRUE(TagList::IsWellFormed("\1a"));
  EXPECT_TRUE(TagList::IsWellFormed("\2ab\1c"));
  EXPECT_TRUE(TagList::IsWellFormed("\xff" + std::string(255, 't')));
  EXPECT_FALSE(TagList::IsWellFormed("\0"sv)) << "an empty tag";
  EXPECT_FALSE(TagList::IsWellFormed("\1a\0\1b"sv));
  EXPECT_FALSE(TagList::IsWellFormed("\1")) << "a length alone";
  EXPECT_FALSE(TagList::IsWellFormed("\2a"));
  EXPECT_FALSE(TagList::IsWellFormed("\1a\2b"));
  EXPECT_FALSE(TagList::IsWellFormed("\xff" + std::string(254, 't')));
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
