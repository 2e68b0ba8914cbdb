// The stores that the contract is asked of.
#include "server/redis/redis_store.h"
#include "server/store/embedded_store.h"
#include "tests/support/eventually.h"
#include "tests/support/manual_clock.h"
#include "tests/support/redis_cluster.h"
#include "tests/support/redis_server.h"
#include "tests/unit/store/store_contract.h"

namespace larder {
namespace {

class EmbeddedWorld final : public World {
 public:
  EmbeddedWorld() { store_.SetWakeListener(Listener()); }
  Store& store() override { return store_; }
  const Clock& clock() override { return clock_; }
  bool PassUntil(int64_t nanos, absl::FunctionRef<bool()> condition) override {
    const int64_t end = clock_.NowNanos() + nanos;
    while (!condition()) {
      if (clock_.NowNanos() > end) return false;
      clock_.Advance(kNanosPerMilli);
    }
    return true;
  }

 private:
  ManualClock clock_;
  EmbeddedStore store_{&clock_, {size_t{64} << 20}};
};

class RedisWorld final : public World {
 public:
  explicit RedisWorld(int connections = 1) {
    absl::StatusOr<std::unique_ptr<RedisServer>> server = RedisServer::Start();
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    RedisStore::Parts parts;
    parts.options.port = server_->port();
    parts.options.connections = connections;
    parts.options.operation_timeout_nanos = 10 * kNanosPerSecond;  // a busy machine is no failure here
    parts.options.connect_timeout_nanos = 10 * kNanosPerSecond;
    parts.namespaces = {"default", "other"};
    store_ = std::make_unique<RedisStore>(&clock_, parts);
    store_->SetWakeListener(Listener());
    EXPECT_TRUE(store_->Start().ok());
    EXPECT_TRUE(Eventually([this] { return store_->state() == StoreInfo::State::kReady; }));
    // It hears from now on, and says so.
    EXPECT_TRUE(Eventually([this] { return wakes().Count(":") > 0; }));
  }
  ~RedisWorld() override { store_->Shutdown(); }

  Store& store() override { return *store_; }
  const Clock& clock() override { return clock_; }
  bool PassUntil(int64_t nanos, absl::FunctionRef<bool()> condition) override {
    return Eventually(condition, std::chrono::milliseconds(nanos / kNanosPerMilli + 5'000));
  }

 private:
  SystemClock clock_;
  std::unique_ptr<RedisServer> server_;
  std::unique_ptr<RedisStore> store_;
};

// One for all tests of a program, since it takes its time to begin; each finds it empty.
class ClusterWorld final : public World {
 public:
  ClusterWorld() {
    static const absl::StatusOr<std::unique_ptr<RedisCluster>> cluster = RedisCluster::Start({});
    EXPECT_TRUE(cluster.ok()) << cluster.status();
    RedisStore::Parts parts;
    for (const auto& node : (*cluster)->nodes) {
      EXPECT_TRUE(node->Command({"FLUSHALL"}).ok());
      parts.options.cluster.push_back({"127.0.0.1", node->port()});
    }
    parts.options.operation_timeout_nanos = 10 * kNanosPerSecond;
    parts.options.connect_timeout_nanos = 10 * kNanosPerSecond;
    parts.namespaces = {"default", "other"};
    store_ = std::make_unique<RedisStore>(&clock_, parts);
    store_->SetWakeListener(Listener());
    EXPECT_TRUE(store_->Start().ok());
    EXPECT_TRUE(Eventually([this] { return ReadControlNow(*store_, "other", {}).ok() && IsWhole(); }));
    EXPECT_TRUE(Eventually([this] { return wakes().Count(":") > 0; }));
  }
  ~ClusterWorld() override { store_->Shutdown(); }

  Store& store() override { return *store_; }
  const Clock& clock() override { return clock_; }
  bool PassUntil(int64_t nanos, absl::FunctionRef<bool()> condition) override {
    return Eventually(condition, std::chrono::milliseconds(nanos / kNanosPerMilli + 5'000));
  }
  bool retires_stamps() const override { return false; }

 private:
  // All nodes can be used.
  bool IsWhole() {
    const absl::StatusOr<StoreInfo> info = DescribeNow(*store_);
    return info.ok() && info->measured && info->detail.empty();
  }

  SystemClock clock_;
  std::unique_ptr<RedisStore> store_;
};

INSTANTIATE_TEST_SUITE_P(, StoreContractTest,
                         testing::Values(WorldKind{"Embedded", [] { return std::make_unique<EmbeddedWorld>(); }},
                                         WorldKind{"Redis", [] { return std::make_unique<RedisWorld>(); }},
                                         WorldKind{"RedisLanes", [] { return std::make_unique<RedisWorld>(4); }},
                                         WorldKind{"Cluster", [] { return std::make_unique<ClusterWorld>(); }}),
                         [](const auto& made) { return made.param.name; });

}  // namespace
}  // namespace larder
