#include "server/engine/warm_job.h"

#include "tests/unit/engine/engine_fixture.h"

namespace larder {
namespace {

class WarmJobTest : public EngineTest {
 protected:
  void Submit(const std::string& key, const std::string& value) {
    job_->Submit({},
                 {.name_space = "shop", .key = key, .value = value, .content_type = {}, .ttl = {}, .condition = {}});
  }

  int done_ = 0;
  std::shared_ptr<WarmJob> job_ = std::make_shared<WarmJob>(&engine_, &clock_, [this] { ++done_; });
};

TEST_F(WarmJobTest, WritesWhatIsMissingAndLeavesWhatIsThere) {
  ASSERT_TRUE(Set("b", "newer")->applied);
  Submit("a", "1");
  Submit("b", "2");
  const WarmProgress progress = job_->TakeProgress();
  EXPECT_EQ(progress.written, 1);
  EXPECT_EQ(progress.skipped, 1);
  EXPECT_EQ(progress.failed, 0);
  EXPECT_EQ(progress.written_bytes, 2);
  EXPECT_EQ(done_, 2);
  EXPECT_EQ(*Get("a"), "1");
  EXPECT_EQ(*Get("b"), "newer");
}

// COHERENCE E4.
TEST_F(WarmJobTest, DoesNotBringBackWhatWasInvalidatedSinceItBegan) {
  Submit("a", "1");
  ASSERT_TRUE(Invalidate({}, true).ok());
  Submit("b", "2");
  EXPECT_EQ(job_->TakeProgress().skipped, 1);
  EXPECT_EQ(*Get("a"), "(miss)");
  EXPECT_EQ(*Get("b"), "(miss)");
}

TEST_F(WarmJobTest, OneBadEntryDoesNotStopTheRest) {
  Submit("a", "1");
  Submit("", "2");
  job_->Refuse("x", absl::InvalidArgumentError("not an entry"));
  Submit("c", "3");
  const WarmProgress progress = job_->TakeProgress();
  EXPECT_EQ(progress.written, 2);
  EXPECT_EQ(progress.failed, 2);
  ASSERT_EQ(progress.failures.size(), 2u);
  EXPECT_EQ(progress.failures[0].index, 1);
  EXPECT_EQ(progress.failures[0].status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(progress.failures[1].index, 2);
  EXPECT_EQ(progress.failures[1].key, "x");
  EXPECT_TRUE(job_->TakeProgress().failures.empty()) << "reported once";
}

TEST_F(WarmJobTest, HasRoomForSoManyAtOnce) {
  store_.hold_answers = true;
  for (int64_t i = 0; i < WarmJob::kMaxInFlight; ++i) {
    ASSERT_TRUE(job_->HasRoom());
    Submit("k" + std::to_string(i), "1");
  }
  EXPECT_FALSE(job_->HasRoom());
  EXPECT_FALSE(job_->Idle());
  while (store_.held() > 0) store_.Release();
  EXPECT_TRUE(job_->HasRoom());
  EXPECT_TRUE(job_->Idle());
  EXPECT_EQ(job_->TakeProgress().written, WarmJob::kMaxInFlight);
}

TEST_F(WarmJobTest, FailuresThatWereNotTakenFillTheRoom) {
  for (int64_t i = 0; i < WarmJob::kMaxUnreported; ++i) {
    EXPECT_TRUE(job_->HasRoom());
    job_->Refuse("x", absl::InvalidArgumentError("no"));
  }
  EXPECT_FALSE(job_->HasRoom());
  EXPECT_TRUE(job_->ReportIsDue());
  EXPECT_EQ(job_->TakeProgress().failures.size(), 100u);
  EXPECT_TRUE(job_->HasRoom());
}

TEST_F(WarmJobTest, AnUnknownNamespaceFailsItsEntriesOnly) {
  job_->Submit({}, {.name_space = "nope", .key = "a", .value = "1", .content_type = {}, .ttl = {}, .condition = {}});
  Submit("a", "1");
  const WarmProgress progress = job_->TakeProgress();
  EXPECT_EQ(progress.failed, 1);
  EXPECT_EQ(progress.written, 1);
}

}  // namespace
}  // namespace larder
