// Callbacks that make the next call, while the breaker ends each of them at once.
#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <utility>

#include "gtest/gtest.h"
#include "larder/client.h"
#include "tests/integration/client/script_test.h"

namespace larder {
namespace {

// ------------------------------------------------------------------------------------------------

// Makes a call, and from its callback the next one.
class Chain {
 public:
  // `call`: makes one asynchronous call and runs the function with what it ended with.
  using Call = std::function<void(std::function<void(const absl::Status&)>)>;

  Chain(int length, Call call) : left_(length), call_(std::move(call)) {}

  // False if it did not come to its end, or not every call was UNAVAILABLE.
  bool Run() {
    Next();
    return ended_.get_future().wait_for(std::chrono::seconds(60)) == std::future_status::ready && unavailable_;
  }

 private:
  void Next() {
    call_([this](const absl::Status& status) {
      if (status.code() != absl::StatusCode::kUnavailable) unavailable_ = false;
      if (--left_ == 0) return ended_.set_value();
      Next();
    });
  }

  int left_;  // one callback at a time
  const Call call_;
  std::atomic<bool> unavailable_{true};
  std::promise<void> ended_;
};

class ClientChainTest : public ScriptTest {
 protected:
  void SetUp() override {
    ScriptTest::SetUp();
    ClientOptions options = Plain();
    options.breaker = {.consecutive_failures = 1, .open_for = std::chrono::hours(1)};
    options.observer = nullptr;
    client_ = Connect(options);
    ASSERT_NE(client_, nullptr);
    service_->On(Method::kSet, InTurn({Answer::Fail(grpc::StatusCode::UNAVAILABLE)}));
    EXPECT_FALSE(client_->Set("k", "v").ok());
    ASSERT_EQ(client_->state(), ServiceState::kDown);
  }

  static constexpr int kLength = 100'000;

  std::unique_ptr<Client> client_;
};

TEST_F(ClientChainTest, RefusedGetsDoNotUseUpTheStack) {
  Chain chain(kLength, [&](auto next) {
    client_->GetAsync("k", {}, [next](const absl::StatusOr<MaybeHit>& hit) { next(hit.status()); });
  });
  EXPECT_TRUE(chain.Run());
  EXPECT_EQ(service_->arrivals(Method::kGet), 0);
}

TEST_F(ClientChainTest, RefusedSetsDoNotUseUpTheStack) {
  Chain chain(kLength, [&](auto next) {
    client_->SetAsync("k", "v", {}, [next](const absl::StatusOr<SetResult>& set) { next(set.status()); });
  });
  EXPECT_TRUE(chain.Run());
}

TEST_F(ClientChainTest, RefusedBatchesDoNotUseUpTheStack) {
  Chain chain(kLength, [&](auto next) {
    client_->BatchGetAsync({"a", "b"}, {},
                           [next](const absl::StatusOr<BatchGetResults>& results) { next(results.status()); });
  });
  EXPECT_TRUE(chain.Run());
}

TEST_F(ClientChainTest, RefusedWarmUpsDoNotUseUpTheStack) {
  Chain chain(kLength, [&](auto next) {
    client_->WarmAsync(Entries(1), {},
                       [next](const absl::StatusOr<WarmProgress>& progress) { next(progress.status()); });
  });
  EXPECT_TRUE(chain.Run());
}

}  // namespace
}  // namespace larder
