#include "server/engine/entry_warmer.h"

#include "tests/unit/engine/engine_fixture.h"

namespace larder {
namespace {

class EntryWarmerTest : public EngineTest {
 protected:
  void Submit(const std::string& key, const std::string& value) {
    warmer_->Submit({},
                    {.name_space = "shop", .key = key, .value = value, .content_type = {}, .ttl = {}, .condition = {}});
  }

  int done_ = 0;
  std::shared_ptr<EntryWarmer> warmer_ = std::make_shared<EntryWarmer>(&engine_, &clock_, [this] { ++done_; });
};

TEST_F(EntryWarmerTest, WritesWhatIsMissingAndLeavesWhatIsThere) {
  ASSERT_TRUE(Set("b", "newer")->applied);
  Submit("a", "1");
  Submit("b", "2");
  const EntryWarmProgress progress = warmer_->TakeProgress();
  EXPECT_EQ(progress.written, 1);
  EXPECT_EQ(progress.skipped, 1);
  EXPECT_EQ(progress.failed, 0);
  EXPECT_EQ(progress.written_bytes, 2);
  EXPECT_EQ(done_, 2);
  EXPECT_EQ(*Get("a"), "1");
  EXPECT_EQ(*Get("b"), "newer");
}

// COHERENCE E4.
TEST_F(EntryWarmerTest, DoesNotBringBackWhatWasInvalidatedSinceItBegan) {
  Submit("a", "1");
  ASSERT_TRUE(Invalidate({}, true).ok());
  Submit("b", "2");
  EXPECT_EQ(warmer_->TakeProgress().skipped, 1);
  EXPECT_EQ(*Get("a"), "(miss)");
  EXPECT_EQ(*Get("b"), "(miss)");
}

TEST_F(EntryWarmerTest, OneBadEntryDoesNotStopTheRest) {
  Submit("a", "1");
  Submit("", "2");
  warmer_->Refuse("x", absl::InvalidArgumentError("not an entry"));
  Submit("c", "3");
  const EntryWarmProgress progress = warmer_->TakeProgress();
  EXPECT_EQ(progress.written, 2);
  EXPECT_EQ(progress.failed, 2);
  ASSERT_EQ(progress.failures.size(), 2u);
  EXPECT_EQ(progress.failures[0].index, 1);
  EXPECT_EQ(progress.failures[0].status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(progress.failures[1].index, 2);
  EXPECT_EQ(progress.failures[1].key, "x");
  EXPECT_TRUE(warmer_->TakeProgress().failures.empty()) << "reported once";
}

TEST_F(EntryWarmerTest, HasRoomForSoManyAtOnce) {
  store_.hold_answers = true;
  for (int64_t i = 0; i < EntryWarmer::kMaxInFlight; ++i) {
    ASSERT_TRUE(warmer_->HasRoom());
    Submit("k" + std::to_string(i), "1");
  }
  EXPECT_FALSE(warmer_->HasRoom());
  EXPECT_FALSE(warmer_->Idle());
  while (store_.held() > 0) store_.Release();
  EXPECT_TRUE(warmer_->HasRoom());
  EXPECT_TRUE(warmer_->Idle());
  EXPECT_EQ(warmer_->TakeProgress().written, EntryWarmer::kMaxInFlight);
}

TEST_F(EntryWarmerTest, FailuresThatWereNotTakenFillTheRoom) {
  for (int64_t i = 0; i < EntryWarmer::kMaxUnreported; ++i) {
    EXPECT_TRUE(warmer_->HasRoom());
    warmer_->Refuse("x", absl::InvalidArgumentError("no"));
  }
  EXPECT_FALSE(warmer_->HasRoom());
  EXPECT_TRUE(warmer_->ReportIsDue());
  EXPECT_EQ(warmer_->TakeProgress().failures.size(), 100u);
  EXPECT_TRUE(warmer_->HasRoom());
}

TEST_F(EntryWarmerTest, AnUnknownNamespaceFailsItsEntriesOnly) {
  warmer_->Submit({}, {.name_space = "nope", .key = "a", .value = "1", .content_type = {}, .ttl = {}, .condition = {}});
  Submit("a", "1");
  const EntryWarmProgress progress = warmer_->TakeProgress();
  EXPECT_EQ(progress.failed, 1);
  EXPECT_EQ(progress.written, 1);
}

}  // namespace
}  // namespace larder
