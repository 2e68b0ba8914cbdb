#include "server/store/envelope.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <utility>

#include "core/clock.h"

namespace larder {
namespace {

constexpr int64_t kNow = 500 * kNanosPerSecond;
constexpr int64_t kSent = 1'000 * kNanosPerSecond;
constexpr size_t kHeadBytes = kEnvelopeHeaderBytes + 9 + 10;  // with the tags and the content type
constexpr size_t kLimit = size_t{1} << 20;

class EnvelopeTest : public testing::Test {
 protected:
  static EntryRef MakeEntry(std::string_view value, std::string_view content_type = "text/plain") {
    EntryMeta meta;
    meta.version = 0x8877'6655'4433'2211;
    meta.generation = 0xffee'ddcc'bbaa'9988;
    meta.epoch = 42;
    meta.created_nanos = kNow - 1'500 * kNanosPerMilli;
    meta.expires_nanos = kNow + 60 * kNanosPerSecond;
    meta.stale_nanos = kNow + 45 * kNanosPerSecond;
    return Entry::Create(meta, content_type, value, TagList::Encode({"red", "blue"}));
  }

  std::string Encode(const Entry& entry, size_t compress_from = 0) {
    const Envelope envelope = MakeEnvelope(entry, kNow, compress_from, codec_);
    return envelope.header + std::string(envelope.body());
  }

  // From a buffer of exactly that size on the heap, so that AddressSanitizer sees a read past its end.
  std::variant<EntryRef, EnvelopeFault> Decode(std::string_view bytes, int64_t pttl_ms = 60'000,
                                               size_t limit = kLimit) {
    std::unique_ptr<char[]> exact(new char[bytes.size()]);
    std::memcpy(exact.get(), bytes.data(), bytes.size());
    return DecodeEnvelope({exact.get(), bytes.size()}, {pttl_ms, kSent, limit}, codec_);
  }
  EntryRef DecodeEntry(std::string_view bytes, int64_t pttl_ms = 60'000) {
    std::variant<EntryRef, EnvelopeFault> decoded = Decode(bytes, pttl_ms);
    EXPECT_TRUE(std::holds_alternative<EntryRef>(decoded));
    return std::holds_alternative<EntryRef>(decoded) ? std::get<EntryRef>(decoded) : nullptr;
  }
  EnvelopeFault DecodeFault(std::string_view bytes, size_t limit = kLimit) {
    std::variant<EntryRef, EnvelopeFault> decoded = Decode(bytes, 60'000, limit);
    EXPECT_TRUE(std::holds_alternative<EnvelopeFault>(decoded));
    return std::holds_alternative<EnvelopeFault>(decoded) ? std::get<EnvelopeFault>(decoded) : EnvelopeFault{99};
  }

  ZstdCodec codec_;
};

TEST_F(EnvelopeTest, IsWhatTheDocumentationSays) {
  const std::string expected = std::string("\x89LDR\x01\x00\x00\x0a", 8) + "\xff\xee\xdd\xcc\xbb\xaa\x99\x88" +
                               std::string("\0\0\0\0\0\0\0\x2a", 8) + "\x88\x77\x66\x55\x44\x33\x22\x11" +
                               std::string("\0\0\0\0\0\0\xea\x60", 8) + std::string("\0\0\0\0\0\0\x05\xdc", 8) +
                               std::string("\0\0\0\5\0\0\0\5", 8) + std::string("\0\0\0\0\0\0\x3a\x98", 8) +
                               std::string(24, '\0') + std::string("\0\x9\0\0\0\0\0\0", 8) + "\3red\4blue" +
                               "text/plain" + "hello";
  EXPECT_EQ(Encode(*MakeEntry("hello")), expected);
  EXPECT_EQ(MakePlaceholder(0x0102'0304'0506'0708, 10'000),
            std::string("\x89LDR\x01\x02", 6) + std::string(18, '\0') + "\1\2\3\4\5\6\7\x8" +
                std::string("\0\0\0\0\0\0\x27\x10", 8) + std::string(24, '\0') + "\1\2\3\4\5\6\7\x8" +
                std::string(18, '\0') + '\1' + std::string(5, '\0'));
}

TEST_F(EnvelopeTest, GivesBackWhatWentIn) {
  const std::string even(100'000, 'x');
  for (const std::string& value : {std::string(), std::string("v"), std::string(4'096, '\0'), even}) {
    for (size_t compress_from : {size_t{0}, size_t{1}}) {
      EntryRef entry = DecodeEntry(Encode(*MakeEntry(value), compress_from));
      ASSERT_TRUE(entry);
      EXPECT_EQ(entry->value(), value);
      EXPECT_EQ(entry->content_type(), "text/plain");
      EXPECT_EQ(entry->meta().version, 0x8877'6655'4433'2211u);
      EXPECT_EQ(entry->meta().generation, 0xffee'ddcc'bbaa'9988u);
      EXPECT_EQ(entry->meta().epoch, 42u);
      EXPECT_EQ(entry->tags().encoded(), "\3red\4blue");
      EXPECT_FALSE(entry->meta().absent);
      EXPECT_EQ(entry->meta().sliding_nanos, 0);
      EXPECT_EQ(entry->meta().leased_nanos, 0);
    }
  }
}

TEST_F(EnvelopeTest, GivesBackAbsenceAndSliding) {
  EntryMeta meta;
  meta.version = 1;
  meta.expires_nanos = kNow + kNanosPerSecond;
  meta.sliding_nanos = 700 * kNanosPerMilli;
  meta.absent = true;
  EntryRef entry = DecodeEntry(Encode(*Entry::Create(meta, "", "")), 1'000);
  EXPECT_TRUE(entry->meta().absent);
  EXPECT_EQ(entry->meta().sliding_nanos, 700 * kNanosPerMilli);
  EXPECT_TRUE(entry->tags().empty());
  // Never stale before its end.
  EXPECT_EQ(entry->meta().stale_nanos, entry->meta().expires_nanos);
}

TEST_F(EnvelopeTest, APlaceholderIsNoEntry) {
  const std::string placeholder = MakePlaceholder(7, 10'000);
  EXPECT_FALSE(DecodeEntry(placeholder));
  std::variant<EnvelopeHead, EnvelopeFault> head =
      DecodeEnvelopeHead(placeholder, placeholder.size(), {4'000, kSent, kLimit});
  ASSERT_TRUE(std::holds_alternative<EnvelopeHead>(head));
  EXPECT_TRUE(std::get<EnvelopeHead>(head).is_placeholder);
  const EntryMeta& meta = std::get<EnvelopeHead>(head).entry->meta();
  EXPECT_EQ(meta.version, 7u);
  EXPECT_EQ(meta.leased_nanos, kSent + 4 * kNanosPerSecond);
  // One that has a body, another token than version, or says that it is more than one.
  for (const auto& [offset, byte] : {std::pair<size_t, char>{5, 3}, {5, 6}, {71, 8}}) {
    std::string wrong = placeholder;
    wrong[offset] = byte;
    EXPECT_EQ(DecodeFault(wrong), EnvelopeFault::kCorrupt) << offset;
  }
}

// A lease and a pause are both told by what is left of the entry's life.
TEST_F(EnvelopeTest, ALeaseIsLiveWhileMoreIsLeftThanItSays) {
  std::string leased = Encode(*MakeEntry("v"));
  leased.replace(72, 8, std::string("\0\0\0\0\0\0\x4e\x20", 8));  // 20 s
  EXPECT_EQ(DecodeEntry(leased, 30'000)->meta().leased_nanos, kSent + 10 * kNanosPerSecond);
  EXPECT_EQ(DecodeEntry(leased, 20'000)->meta().leased_nanos, 0);
  EXPECT_EQ(DecodeEntry(leased, 19'999)->meta().leased_nanos, 0);
}

TEST_F(EnvelopeTest, TheHeadAloneTellsAllButTheValue) {
  const std::string whole = Encode(*MakeEntry(std::string(300, 'x')));
  EXPECT_EQ(EnvelopeHeadBytes(whole.substr(0, 95)), kEnvelopeHeaderBytes);
  EXPECT_EQ(EnvelopeHeadBytes(whole.substr(0, 96)), kHeadBytes);
  const EnvelopeContext context{20'000, kSent, kLimit};
  for (size_t size : {kHeadBytes, kHeadBytes + 1, whole.size()}) {
    std::variant<EnvelopeHead, EnvelopeFault> head = DecodeEnvelopeHead(whole.substr(0, size), whole.size(), context);
    ASSERT_TRUE(std::holds_alternative<EnvelopeHead>(head)) << size;
    EXPECT_FALSE(std::get<EnvelopeHead>(head).is_placeholder);
    const EntryRef& entry = std::get<EnvelopeHead>(head).entry;
    EXPECT_EQ(entry->tags().encoded(), "\3red\4blue");
    EXPECT_EQ(entry->content_type(), "text/plain");
    EXPECT_EQ(entry->value(), "");
    EXPECT_EQ(entry->meta().expires_nanos, kSent + 20 * kNanosPerSecond);
  }
  for (size_t size = 0; size < kHeadBytes; ++size) {
    EXPECT_TRUE(std::holds_alternative<EnvelopeFault>(DecodeEnvelopeHead(whole.substr(0, size), whole.size(), context)))
        << size;
  }
  EXPECT_TRUE(std::holds_alternative<EnvelopeFault>(DecodeEnvelopeHead(whole, whole.size() + 1, context)));
}

TEST_F(EnvelopeTest, TakesTimesFromWhatIsLeftOfTheLife) {
  // 1.5 s old when it was given 60 s, of which 20 s are left: 41.5 s old.
  EntryRef entry = DecodeEntry(Encode(*MakeEntry("v")), 20'000);
  EXPECT_EQ(entry->meta().expires_nanos, kSent + 20 * kNanosPerSecond);
  EXPECT_EQ(entry->meta().created_nanos, kSent - 41'500 * kNanosPerMilli);
  EXPECT_EQ(entry->meta().read_nanos, kSent);
  // Stale for the last 15 s of its life.
  EXPECT_EQ(entry->meta().stale_nanos, kSent + 5 * kNanosPerSecond);
  EXPECT_EQ(DecodeEntry(Encode(*MakeEntry("v")), 10'000)->meta().stale_nanos, kSent - 5 * kNanosPerSecond);
  // Someone gave it more time than we did: it is no younger for that.
  EXPECT_EQ(DecodeEntry(Encode(*MakeEntry("v")), 100'000)->meta().created_nanos, kSent - 1'500 * kNanosPerMilli);
  EXPECT_EQ(DecodeEntry(Encode(*MakeEntry("v")), -5)->meta().expires_nanos, kSent);
  EXPECT_GT(DecodeEntry(Encode(*MakeEntry("v")), INT64_MAX)->meta().expires_nanos, kSent);
}

// What was left was asked for before the value, and may be that of the one before it.
TEST_F(EnvelopeTest, NothingLivesLongerThanItWasGiven) {
  EXPECT_EQ(DecodeEntry(Encode(*MakeEntry("v")), 100'000)->meta().expires_nanos, kSent + 60 * kNanosPerSecond);
}

// COHERENCE E5: what is stale all its life is what an invalidation made so, and Touch leaves it alone.
TEST_F(EnvelopeTest, AShortFreshLifeIsNotNone) {
  EntryMeta meta = MakeEntry("")->meta();
  const std::string_view ttl("\0\0\0\0\0\0\xea\x60", 8);
  meta.expires_nanos += kNanosPerMilli - 1;
  for (const int64_t fresh_nanos : {int64_t{1}, kNanosPerMilli / 2, kNanosPerMilli}) {
    meta.stale_nanos = kNow + fresh_nanos;
    const std::string bytes = Encode(*Entry::Create(meta, "", "v"));
    EXPECT_EQ(bytes.substr(32, 8), ttl);
    EXPECT_EQ(bytes.substr(56, 8), std::string_view("\0\0\0\0\0\0\xea\x5f", 8)) << fresh_nanos;
  }
  meta.stale_nanos = kNow;
  EXPECT_EQ(Encode(*Entry::Create(meta, "", "v")).substr(56, 8), ttl);
  meta.expires_nanos = kNow + 1;
  meta.stale_nanos = kNow + 1;
  EXPECT_EQ(Encode(*Entry::Create(meta, "", "v")).substr(56, 8), std::string(8, '\0'));
}

TEST_F(EnvelopeTest, OfAHeadTheValueMayBeOfAnySize) {
  const std::string whole = Encode(*MakeEntry(std::string(300, 'x')));
  EXPECT_EQ(DecodeFault(whole, 299), EnvelopeFault::kTooLarge);
  EXPECT_TRUE(std::holds_alternative<EnvelopeHead>(
      DecodeEnvelopeHead(whole.substr(0, kHeadBytes), whole.size(), {20'000, kSent, 299})));
}

TEST_F(EnvelopeTest, CompressesOnlyWhereThatPays) {
  const std::string even(10'000, 'x');
  std::string noise(10'000, '\0');
  std::mt19937 random(1);
  for (char& c : noise) c = static_cast<char>(random());
  EXPECT_LT(Encode(*MakeEntry(even), 10'000).size(), 250u);
  EXPECT_EQ(Encode(*MakeEntry(even), 10'001).size(), kHeadBytes + 10'000);
  EXPECT_EQ(Encode(*MakeEntry(noise), 1).size(), kHeadBytes + 10'000);
}

TEST_F(EnvelopeTest, RefusesEveryTruncationAndEveryExcess) {
  for (size_t compress_from : {size_t{0}, size_t{1}}) {
    const std::string whole = Encode(*MakeEntry(std::string(300, 'x')), compress_from);
    for (size_t size = 0; size < whole.size(); ++size) {
      const EnvelopeFault fault = DecodeFault(whole.substr(0, size));
      EXPECT_EQ(fault, size == 0 ? EnvelopeFault::kForeign : EnvelopeFault::kTruncated) << size;
    }
    EXPECT_EQ(DecodeFault(whole + '\0'), EnvelopeFault::kTruncated);
  }
}

TEST_F(EnvelopeTest, SurvivesEveryBitFlip) {
  const std::string value(300, 'x');
  for (size_t compress_from : {size_t{0}, size_t{1}}) {
    const std::string whole = Encode(*MakeEntry(value), compress_from);
    for (size_t bit = 0; bit < whole.size() * 8; ++bit) {
      std::string flipped = whole;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
      std::variant<EntryRef, EnvelopeFault> decoded = Decode(flipped);
      const bool in_frame = compress_from != 0 && bit / 8 >= kHeadBytes;
      // A frame has a checksum: no wrong value comes out of it.
      if (in_frame && std::holds_alternative<EntryRef>(decoded)) {
        EXPECT_EQ(std::get<EntryRef>(decoded)->value(), value) << "bit " << bit;
      }
    }
  }
}

TEST_F(EnvelopeTest, SurvivesRandomBytes) {
  std::mt19937 random(7);
  const std::string whole = Encode(*MakeEntry(std::string(300, 'x')), 1);
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes(random() % 200, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    // Half of them with a beginning that gets them past the first checks.
    if (round % 2 == 0) bytes = whole.substr(0, random() % (kEnvelopeHeaderBytes + 1)) + bytes;
    Decode(bytes);
  }
}

TEST_F(EnvelopeTest, TellsForeignFromNewerFromCorrupt) {
  const std::string whole = Encode(*MakeEntry("hello"));
  EXPECT_EQ(DecodeFault("some text of someone else"), EnvelopeFault::kForeign);
  EXPECT_EQ(DecodeFault(std::string(100, '\0')), EnvelopeFault::kForeign);
  std::string newer = whole;
  newer[4] = 2;
  EXPECT_EQ(DecodeFault(newer), EnvelopeFault::kNewerFormat);
  EXPECT_EQ(DecodeFault(newer.substr(0, 5)), EnvelopeFault::kNewerFormat);
  std::string flag = whole;
  flag[5] = 8;
  EXPECT_EQ(DecodeFault(flag), EnvelopeFault::kNewerFormat);
  std::string sizes = whole;
  sizes[51] = 4;
  EXPECT_EQ(DecodeFault(sizes), EnvelopeFault::kCorrupt);
  std::string time = whole;
  time[32] = 1;
  EXPECT_EQ(DecodeFault(time), EnvelopeFault::kCorrupt);
  std::string not_zstd = whole;
  not_zstd[5] = 1;
  EXPECT_EQ(DecodeFault(not_zstd), EnvelopeFault::kCorrupt);
  std::string no_version = whole;
  no_version.replace(kEnvelopeVersionOffset, 8, std::string(8, '\0'));
  EXPECT_EQ(DecodeFault(no_version), EnvelopeFault::kCorrupt);
  for (size_t offset : {56u, 72u, 80u}) {
    std::string late = whole;
    late[offset] = 1;
    EXPECT_EQ(DecodeFault(late), EnvelopeFault::kCorrupt) << offset;
  }
  std::string tags = whole;
  tags[kEnvelopeHeaderBytes] = 9;
  EXPECT_EQ(DecodeFault(tags), EnvelopeFault::kCorrupt);
}

TEST_F(EnvelopeTest, TakesOneFrameOnly) {
  const std::string value(1'000, 'x');
  const std::string half = *codec_.Compress(std::string_view(value).substr(0, 500), 500);
  std::string two = Encode(*MakeEntry(value), 1).substr(0, kHeadBytes) + half + half;
  two[55] = static_cast<char>(2 * half.size());
  EXPECT_EQ(DecodeFault(two), EnvelopeFault::kCorrupt);
}

TEST_F(EnvelopeTest, AllocatesNothingAboveTheLimit) {
  const std::string value(1'000, 'x');
  for (size_t compress_from : {size_t{0}, size_t{1}}) {
    const std::string whole = Encode(*MakeEntry(value), compress_from);
    EXPECT_EQ(DecodeFault(whole, 999), EnvelopeFault::kTooLarge);
    EXPECT_TRUE(std::holds_alternative<EntryRef>(Decode(whole, 60'000, 1'000)));
  }
  // A header that lies about the size of a frame.
  std::string lie = Encode(*MakeEntry(value), 1);
  lie[48] = '\xff';
  EXPECT_EQ(DecodeFault(lie), EnvelopeFault::kTooLarge);
  lie = Encode(*MakeEntry(value), 1);
  lie[50] = '\x10';
  EXPECT_EQ(DecodeFault(lie), EnvelopeFault::kCorrupt);
}

}  // namespace
}  // namespace larder
