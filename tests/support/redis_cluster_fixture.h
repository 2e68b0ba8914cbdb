// A store over the nodes of a Redis Cluster.
#ifndef LARDER_TESTS_SUPPORT_REDIS_CLUSTER_FIXTURE_H_
#define LARDER_TESTS_SUPPORT_REDIS_CLUSTER_FIXTURE_H_

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/redis/cluster_map.h"
#include "tests/support/redis_cluster.h"
#include "tests/support/redis_store_fixture.h"

namespace larder {

inline constexpr char kDefaultEntry[] = "larder:default:e:";

class RedisClusterFixture : public RedisStoreFixture {
 protected:
  void StartCluster(const RedisCluster::Options& options = {}) {
    absl::StatusOr<std::unique_ptr<RedisCluster>> cluster = RedisCluster::Start(options);
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    cluster_ = *std::move(cluster);
  }
  RedisOptions Options() const {
    RedisOptions options;
    options.operation_timeout_nanos = 2 * kNanosPerSecond;
    options.cluster.push_back({"127.0.0.1", cluster_->nodes[0]->port()});
    options.cluster.push_back({"127.0.0.1", cluster_->nodes[1]->port()});
    return options;
  }
  void StartWhole() {
    StartStore(Options());
    ASSERT_TRUE(AwaitWhole(*store_)) << Detail();
  }
  // All nodes can be used.
  static bool AwaitWhole(RedisStore& store) {
    return Eventually(
        [&] {
          const absl::StatusOr<StoreInfo> info = DescribeNow(store);
          return info.ok() && info->measured && info->detail.empty();
        },
        std::chrono::seconds(30));
  }
  std::string Detail() { return DescribeNow(*store_)->detail; }

  static int SlotOf(const std::string& key) { return HashSlotOf(kDefaultEntry + key); }
  // Which of the first masters has the slot at the beginning.
  static size_t FirstOwner(int slot, int masters = 3) {
    for (int i = 0; i < masters; ++i) {
      if (slot < 16'384 * (i + 1) / masters) return static_cast<size_t>(i);
    }
    return 0;
  }
  // A key of the node's, at first.
  static std::string KeyOn(size_t node) {
    for (int i = 0;; ++i) {
      std::string key = absl::StrCat("on", node, "-", i);
      if (FirstOwner(SlotOf(key)) == node) return key;
    }
  }

  static constexpr size_t kLost = 0;
  std::unique_ptr<RedisCluster> cluster_;
};

}  // namespace larder

#endif  // LARDER_TESTS_SUPPORT_REDIS_CLUSTER_FIXTURE_H_
