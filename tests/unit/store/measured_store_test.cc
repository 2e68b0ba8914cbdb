#include "server/store/measured_store.h"

#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "server/store/embedded_store.h"
#include "tests/support/held_store.h"
#include "tests/support/manual_clock.h"

namespace larder {
namespace {

using ::testing::HasSubstr;

class MeasuredStoreTest : public ::testing::Test {
 protected:
  ManualClock clock_;
  Registry registry_;
  EmbeddedStore embedded_{&clock_, {.capacity_bytes = 1 << 20}};
  HeldStore* held_ = new HeldStore(&embedded_);  // owned by store_
  MeasuredStore store_{std::unique_ptr<Store>(held_), &clock_, &registry_};
};

TEST_F(MeasuredStoreTest, TimesAnOperationUntilItsAnswer) {
  held_->hold_answers = true;
  bool answered = false;
  store_.Read({.name_space = "default", .keys = {"a"}, .known = {}}, [&](absl::StatusOr<ReadResult> result) {
    answered = true;
    EXPECT_TRUE(result.ok());
  });
  clock_.Advance(2 * kNanosPerSecond);
  held_->Release();
  EXPECT_TRUE(answered);
  EXPECT_THAT(registry_.RenderText(), HasSubstr("cache_store_operation_seconds_count{operation=\"read\"} 1"));
  EXPECT_THAT(registry_.RenderText(), HasSubstr("cache_store_operation_seconds_sum{operation=\"read\"} 2"));
  EXPECT_THAT(registry_.RenderText(), HasSubstr("cache_store_errors_total{operation=\"read\"} 0"));
}

TEST_F(MeasuredStoreTest, CountsErrorsAndWhatWasShed) {
  held_->failure = absl::UnavailableError("gone");
  store_.Erase({.name_space = "default", .keys = {"a"}, .soft_versions = {}}, [](absl::StatusOr<EraseResult>) {});
  held_->failure = absl::ResourceExhaustedError("too many wait");
  store_.Erase({.name_space = "default", .keys = {"a"}, .soft_versions = {}}, [](absl::StatusOr<EraseResult> result) {
    EXPECT_EQ(result.status().code(), absl::StatusCode::kResourceExhausted);
  });
  EXPECT_THAT(registry_.RenderText(), HasSubstr("cache_store_errors_total{operation=\"erase\"} 2"));
  EXPECT_THAT(registry_.RenderText(), HasSubstr("cache_shed_total{reason=\"store_queue\"} 1"));
}

TEST_F(MeasuredStoreTest, TimesEveryOperation) {
  const auto ignore = [](const auto&) {};
  WriteRequest write;
  write.name_space = "default";
  write.entry = Entry::Create({}, "", "");
  store_.Write(std::move(write), ignore);
  store_.Touch({}, ignore);
  store_.Lease({}, ignore);
  store_.Release({}, ignore);
  store_.InvalidateGroups({}, ignore);
  store_.RaiseBarrier("default", 0, ignore);
  store_.ReadControl("default", {}, 0, ignore);
  store_.Look({}, ignore);
  store_.Scan({}, ignore);
  store_.EraseVersions({}, ignore);
  store_.Sweep({}, ignore);
  store_.EraseDead({}, ignore);
  store_.ForgetOldStamps("default", 1, 0, ignore);
  store_.PutNote("default", "note", "text", 1, 0, ignore);
  store_.GetNote("default", "note", 0, ignore);
  const std::string text = registry_.RenderText();
  for (const char* operation :
       {"write", "touch", "lease", "release", "invalidate", "barrier", "control", "look", "scan", "erase_versions",
        "sweep", "erase_dead", "forget_stamps", "put_note", "get_note"}) {
    EXPECT_THAT(text, HasSubstr("cache_store_operation_seconds_count{operation=\"" + std::string(operation) + "\"} 1"));
    EXPECT_THAT(text, HasSubstr("cache_store_errors_total{operation=\"" + std::string(operation) + "\"} 0"));
  }
}

TEST_F(MeasuredStoreTest, HandsTheListenerToTheStore) {
  int told = 0;
  store_.SetWakeListener([&](std::string_view, std::string_view) { ++told; });
  const auto lease = [&](uint64_t token) {
    LeaseRequest request;
    request.name_space = "default";
    request.key = "key";
    request.token = token;
    request.lease_nanos = kNanosPerSecond;
    store_.Lease(std::move(request), [](absl::StatusOr<LeaseResult> result) { EXPECT_TRUE(result.ok()); });
  };
  lease(1);
  lease(2);
  store_.Erase({.name_space = "default", .keys = {"key"}, .soft_versions = {}}, [](absl::StatusOr<EraseResult>) {});
  EXPECT_EQ(told, 1);
}

}  // namespace
}  // namespace larder
