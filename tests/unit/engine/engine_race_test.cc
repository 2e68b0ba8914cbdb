// What may not happen when reads and writes overlap. The held store puts the steps in order; nothing sleeps.
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/engine/engine_fixture.h"

namespace larder {
namespace {

// A call whose answer comes later.
template <typename T>
struct Later {
  std::optional<absl::StatusOr<T>> got;
  Done<T> Callback() {
    return [this](absl::StatusOr<T> answer) { got = std::move(answer); };
  }
};

class EngineRaceTest : public EngineTest {
 protected:
  void StartGet(const std::string& key, Later<GetAnswer>* later) {
    engine_.Get({}, {.name_space = "shop", .key = key, .from_store = true}, later->Callback());
  }
  void StartSet(const std::string& key, const std::string& value, Later<SetAnswer>* later) {
    engine_.Set({}, {.name_space = "shop", .key = key, .value = value, .content_type = {}, .ttl = {}, .condition = {}},
                later->Callback());
  }
};

// COHERENCE N3, the mark at the start of a write.
TEST_F(EngineRaceTest, AReadFromBeforeAWriteIsNotAdmittedAfterIt) {
  ASSERT_TRUE(Set("a", "old")->applied);
  store_.hold_answers = true;
  Later<GetAnswer> get;
  StartGet("a", &get);  // has read "old"
  store_.hold_answers = false;
  ASSERT_TRUE(Set("a", "new")->applied);
  store_.Release();
  ASSERT_EQ(get.got->value().entry->value(), "old");  // it was concurrent with the write
  EXPECT_EQ(*Get("a"), "new");
}

// COHERENCE N3, the mark at the end of a write.
TEST_F(EngineRaceTest, AReadThatOvertookAWriteIsNotAdmittedAfterIt) {
  ASSERT_TRUE(Set("a", "old")->applied);
  store_.hold_calls = true;
  Later<SetAnswer> set;
  StartSet("a", "new", &set);  // has not reached the store
  store_.hold_calls = false;
  store_.hold_answers = true;
  Later<GetAnswer> get;
  StartGet("a", &get);  // begins after the write's start, and still reads "old"
  store_.hold_answers = false;
  store_.Release();  // the write is carried out and acknowledged
  ASSERT_TRUE(set.got->value().applied);
  store_.Release();  // the read's answer comes
  ASSERT_EQ(get.got->value().entry->value(), "old");
  EXPECT_EQ(*Get("a"), "new");
}

TEST_F(EngineRaceTest, AReadFromBeforeAnInvalidationIsNotAdmittedAfterIt) {
  ASSERT_TRUE(Set("a", "old")->applied);
  store_.hold_answers = true;
  Later<GetAnswer> get;
  StartGet("a", &get);
  store_.hold_answers = false;
  EXPECT_EQ(*Invalidate({"a"}), 1);
  store_.Release();
  EXPECT_EQ(*Get("a"), "(miss)");
}

// COHERENCE N4: what a read brought is judged by what is known when it is delivered.
TEST_F(EngineRaceTest, AReadFromBeforeAnInvalidationOfAllIsAMissAfterIt) {
  ASSERT_TRUE(Set("a", "old")->applied);
  store_.hold_answers = true;
  Later<GetAnswer> get;
  StartGet("a", &get);
  store_.hold_answers = false;
  ASSERT_TRUE(Invalidate({}, true).ok());
  store_.Release();
  EXPECT_FALSE(get.got->value().entry);
  EXPECT_EQ(*Get("a"), "(miss)");
}

// Which of two overlapping writes the store executed last is not known to the near tier.
TEST_F(EngineRaceTest, OverlappingWritesLeaveTheAnswerToTheStore) {
  store_.hold_calls = true;
  Later<SetAnswer> first, second;
  StartSet("a", "1", &first);
  StartSet("a", "2", &second);
  store_.hold_calls = false;
  store_.Release();
  store_.Release();
  const int reads = store_.reads;
  EXPECT_EQ(*Get("a"), "2");
  EXPECT_EQ(store_.reads, reads + 1) << "answered from the near tier";
}

// The one that began first ends last: what the other admitted must not outlive it.
TEST_F(EngineRaceTest, OverlappingWritesThatEndInTheOtherOrderLeaveItToTheStoreToo) {
  store_.hold_calls = true;
  Later<SetAnswer> first, second;
  StartSet("a", "1", &first);
  store_.hold_calls = false;
  StartSet("a", "2", &second);
  ASSERT_TRUE(second.got->value().applied);
  store_.Release();
  ASSERT_TRUE(first.got->value().applied);
  EXPECT_EQ(*Get("a"), "1");
}

TEST_F(EngineRaceTest, AWriteWhoseAnswerIsLostLeavesNothingInTheNearTier) {
  ASSERT_TRUE(Set("a", "old")->applied);
  store_.lost_answer = absl::UnavailableError("connection lost");
  EXPECT_EQ(Set("a", "new").status().code(), absl::StatusCode::kUnavailable);
  store_.lost_answer = absl::OkStatus();
  EXPECT_EQ(*Get("a"), "new");  // it was carried out
  EXPECT_EQ(Stats().set_errors, 1u);
}

TEST_F(EngineRaceTest, AnInvalidationWhoseAnswerIsLostLeavesNothingInTheNearTier) {
  ASSERT_TRUE(Set("a", "old")->applied);
  store_.lost_answer = absl::UnavailableError("connection lost");
  EXPECT_EQ(Invalidate({"a"}).status().code(), absl::StatusCode::kUnavailable);
  store_.lost_answer = absl::OkStatus();
  EXPECT_EQ(*Get("a"), "(miss)");
}

// Each by its own deadline, whoever came first; what comes too late for one is there for the next.
TEST_F(EngineRaceTest, GetsThatShareAReadEndByTheirOwnDeadlines) {
  const int64_t start = clock_.NowNanos();
  const auto get = [&](int64_t deadline_ms, Later<GetAnswer>* later) {
    engine_.Get({.deadline_nanos = start + deadline_ms * kNanosPerMilli}, {.name_space = "shop", .key = "a"},
                later->Callback());
  };
  ASSERT_TRUE(Set("a", "value")->applied);
  clock_.Advance(2 * kNanosPerSecond);
  store_.shared = true;
  store_.hold_answers = true;
  Later<GetAnswer> patient, hurried, late, unhurried;
  get(3'000, &patient);
  get(2'010, &hurried);
  // Begun anew, so that the first can be joined no more; its Gets keep their deadlines.
  engine_.Get({.deadline_nanos = start + 2'020 * kNanosPerMilli},
              {.name_space = "shop", .key = "a", .from_store = true}, late.Callback());
  get(3'000, &unhurried);
  ASSERT_EQ(store_.held(), 2u);
  scheduler_.Advance(100 * kNanosPerMilli);
  ASSERT_TRUE(hurried.got.has_value());
  EXPECT_EQ(hurried.got->status().code(), absl::StatusCode::kDeadlineExceeded);
  ASSERT_TRUE(late.got.has_value());
  EXPECT_EQ(late.got->status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_FALSE(patient.got.has_value());
  EXPECT_FALSE(unhurried.got.has_value());
  store_.hold_answers = false;
  while (store_.held() > 0) store_.Release();
  EXPECT_EQ(patient.got->value().entry->value(), "value");
  EXPECT_EQ(unhurried.got->value().entry->value(), "value");
  EXPECT_EQ(Stats().get_errors, 2u);
}

TEST_F(EngineRaceTest, AReadThatComesTooLateForItsOnlyGetIsKeptForTheNext) {
  ASSERT_TRUE(Set("a", "value")->applied);
  engine_.FindKeyspace("shop")->ForgetNear();
  store_.hold_answers = true;
  Later<GetAnswer> get;
  engine_.Get({.deadline_nanos = clock_.NowNanos() + kNanosPerMilli}, {.name_space = "shop", .key = "a"},
              get.Callback());
  scheduler_.Advance(100 * kNanosPerMilli);
  EXPECT_EQ(get.got->status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(Stats().near.entries, 0u);
  store_.hold_answers = false;
  store_.Release();
  EXPECT_EQ(Stats().near.entries, 1u);
}

// Threads on a few keys: once a write is acknowledged, its writer never reads an older value. Each key has one writer
// that counts up, so "older" is a lower number.
TEST_F(EngineTest, WritersReadTheirOwnWrites) {
  constexpr int kWriters = 3;
  constexpr int kRounds = 3'000;
  std::atomic<int> stale{0};
  std::atomic<int> hits{0};
  std::vector<std::thread> threads;
  for (int w = 0; w < kWriters; ++w) {
    threads.emplace_back([&, w] {
      const std::string own = "k" + std::to_string(w);
      const std::string other = "k" + std::to_string((w + 1) % kWriters);
      for (int i = 1; i <= kRounds; ++i) {
        const std::string value = std::to_string(i);
        engine_.Set({},
                    {.name_space = "shop", .key = own, .value = value, .content_type = {}, .ttl = {}, .condition = {}},
                    [](absl::StatusOr<SetAnswer> answer) { ASSERT_TRUE(answer->applied); });
        engine_.Get({}, {.name_space = "shop", .key = own}, [&](absl::StatusOr<GetAnswer> answer) {
          if (!answer->entry) return;
          ++hits;
          if (std::stoi(std::string(answer->entry->value())) < i) ++stale;
        });
        engine_.Get({}, {.name_space = "shop", .key = other, .from_store = i % 2 == 0},
                    [](absl::StatusOr<GetAnswer>) {});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(stale, 0);
  EXPECT_EQ(hits, kWriters * kRounds);
}

}  // namespace
}  // namespace larder
