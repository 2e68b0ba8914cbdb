// A RedisStore on a Redis of its own.
#ifndef LARDER_TESTS_SUPPORT_REDIS_STORE_FIXTURE_H_
#define LARDER_TESTS_SUPPORT_REDIS_STORE_FIXTURE_H_

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "core/mutex.h"
#include "server/redis/redis_store.h"
#include "tests/support/eventually.h"
#include "tests/support/redis_server.h"
#include "tests/support/store_calls.h"

namespace larder {

class RedisStoreFixture : public testing::Test {
 protected:
  static constexpr int64_t kMinute = 60 * kNanosPerSecond;
  static constexpr char kControlKey[] = "larder:{default}:ctl";

  void StartServer(const RedisServer::Options& options = {}) {
    absl::StatusOr<std::unique_ptr<RedisServer>> server = RedisServer::Start(options);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  // Patient by default, so that a busy machine is no failure; tests of timeouts set their own.
  RedisOptions PatientOptions() const {
    RedisOptions options;
    options.port = server_->port();
    options.operation_timeout_nanos = 10 * kNanosPerSecond;
    options.connect_timeout_nanos = 10 * kNanosPerSecond;
    options.min_backoff_nanos = 5 * kNanosPerMilli;
    options.max_backoff_nanos = 100 * kNanosPerMilli;
    return options;
  }

  std::unique_ptr<RedisStore> MakeStore(const RedisOptions& options) {
    RedisStore::Parts parts;
    parts.options = options;
    parts.namespaces = {"default", "other"};
    parts.warn = [this](std::string_view text) {
      MutexLock lock(&warnings_mutex_);
      warnings_.emplace_back(text);
    };
    auto store = std::make_unique<RedisStore>(&clock_, std::move(parts));
    store->SetWakeListener(wake_listener_);
    EXPECT_TRUE(store->Start().ok());
    return store;
  }
  static bool AwaitReady(const RedisStore& store, std::chrono::milliseconds limit = std::chrono::seconds(10)) {
    return Eventually([&] { return store.state() == StoreInfo::State::kReady; }, limit);
  }
  void StartStore(const RedisOptions& options) {
    store_ = MakeStore(options);
    ASSERT_TRUE(AwaitReady(*store_)) << DescribeNow(*store_)->detail;
  }
  void StartBoth() {
    StartServer();
    StartStore(PatientOptions());
  }

  WriteRequest Request(std::string key, std::string_view value, Condition condition = {}) {
    EntryMeta meta;
    meta.version = last_version_.fetch_add(1) + 1;
    meta.created_nanos = clock_.NowNanos();
    meta.expires_nanos = clock_.NowNanos() + kMinute;
    WriteRequest request;
    request.name_space = "default";
    request.key = std::move(key);
    request.entry = Entry::Create(meta, "", value);
    request.condition = condition;
    return request;
  }
  static LeaseRequest LeaseOn(std::string key, uint64_t token, uint64_t found_version = 0) {
    LeaseRequest request;
    request.name_space = "default";
    request.key = std::move(key);
    request.token = token;
    request.lease_nanos = 30 * kNanosPerSecond;
    request.found_version = found_version;
    return request;
  }
  absl::StatusOr<WriteResult> Fill(RedisStore& store, std::string key, const FillToken& token, std::string_view value) {
    WriteRequest request = Request(std::move(key), value);
    request.fill = token;
    return WriteNow(store, std::move(request));
  }
  absl::StatusOr<WriteResult> Set(RedisStore& store, std::string key, std::string_view value) {
    return WriteNow(store, Request(std::move(key), value));
  }

  // The value as a caller judges it who knows nothing yet; "(none)" where there is none that is valid.
  static std::string Value(RedisStore& store, const std::string& key) {
    absl::StatusOr<ReadResult> result = ReadNow(store, {"default", {key}, {}, 0});
    if (!result.ok()) return result.status().ToString();
    const EntryRef& entry = result->entries[0];
    if (!entry || entry->meta().generation != result->control.generation) return "(none)";
    for (const Stamp& stamp : result->control.stamps) {
      if (!stamp.soft && stamp.epoch > entry->meta().epoch && Concerns(stamp, *entry)) return "(none)";
    }
    return std::string(entry->value());
  }
  // Patterns are not looked at here.
  static bool Concerns(const Stamp& stamp, const Entry& entry) {
    if (stamp.group == Stamp::Group::kAll) return true;
    if (stamp.group == Stamp::Group::kPattern) return false;
    for (std::string_view tag : entry.tags()) {
      if (tag == stamp.name) return true;
    }
    return false;
  }
  // The epoch of the stamp on the whole namespace; 0: there is none.
  static uint64_t AllStamp(const ControlUpdate& update) {
    for (const Stamp& stamp : update.stamps) {
      if (stamp.group == Stamp::Group::kAll && !stamp.soft) return stamp.epoch;
    }
    return 0;
  }
  uint64_t Generation(RedisStore& store) {
    absl::StatusOr<ControlUpdate> update = ReadControlNow(store, "default", {});
    EXPECT_TRUE(update.ok()) << update.status();
    return update.ok() ? update->generation : 0;
  }

  std::string Redis(const std::vector<std::string>& args) {
    absl::StatusOr<std::string> answer = server_->Command(args);
    return answer.ok() ? *answer : std::string(answer.status().message());
  }

  // How often a command was run, in scripts too.
  int64_t Calls(const std::string& command) {
    const std::string stats = Redis({"INFO", "commandstats"});
    const std::string field = "cmdstat_" + command + ":calls=";
    const size_t at = stats.find(field);
    return at == std::string::npos ? 0 : std::stoll(stats.substr(at + field.size()));
  }

  size_t WarningCount() {
    MutexLock lock(&warnings_mutex_);
    return warnings_.size();
  }

  SystemClock clock_;
  Store::WakeListener wake_listener_;  // of the stores that are made from now on
  std::atomic<uint64_t> last_version_{0xfedc'ba98'0000'0000};
  Mutex warnings_mutex_;
  std::vector<std::string> warnings_ ABSL_GUARDED_BY(warnings_mutex_);
  std::unique_ptr<RedisServer> server_;
  std::unique_ptr<RedisStore> store_;
};

}  // namespace larder

#endif  // LARDER_TESTS_SUPPORT_REDIS_STORE_FIXTURE_H_
