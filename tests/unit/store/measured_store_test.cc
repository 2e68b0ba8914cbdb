#include "server/store/measured_store.h"

#include <memory>

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
  store_.Erase({.name_space = "default", .keys = {"a"}}, [](absl::StatusOr<EraseResult>) {});
  held_->failure = absl::ResourceExhaustedError("too many wait");
  store_.Erase({.name_space = "default", .keys = {"a"}}, [](absl::StatusOr<EraseResult> result) {
    EXPECT_EQ(result.status().code(), absl::StatusCode::kResourceExhausted);
  });
  EXPECT_THAT(registry_.RenderText(), HasSubstr("cache_store_errors_total{operation=\"erase\"} 2"));
  EXPECT_THAT(registry_.RenderText(), HasSubstr("cache_shed_total{reason=\"store_queue\"} 1"));
}

}  // namespace
}  // namespace larder
