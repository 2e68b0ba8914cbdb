// Namespaces are shared out among several connections, and wait for no other's.
#include "server/redis/redis_lanes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hiredis/hiredis.h>
#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "tests/support/redis_store_fixture.h"
#include "tests/unit/redis/told_holder.h"

namespace larder {
namespace {

using testing::HasSubstr;

// What a Redis is told, and by whom.
class RedisMonitor {
 public:
  static absl::StatusOr<std::unique_ptr<RedisMonitor>> Start(int port) {
    auto monitor = std::make_unique<RedisMonitor>();
    monitor->context_.reset(redisConnectWithTimeout("127.0.0.1", port, {.tv_sec = 10, .tv_usec = 0}));
    redisContext* context = monitor->context_.get();
    if (context == nullptr || context->err != 0 || redisSetTimeout(context, {.tv_sec = 10, .tv_usec = 0}) != REDIS_OK) {
      return absl::UnavailableError("no connection");
    }
    redisAppendCommand(context, "MONITOR");
    if (monitor->Next() != "OK") return absl::UnavailableError("MONITOR is refused");
    return monitor;
  }

  // The lines before the one that holds `mark`.
  std::vector<std::string> Until(const std::string& mark) {
    std::vector<std::string> lines;
    for (std::string line = Next(); !line.empty() && !absl::StrContains(line, mark); line = Next()) {
      lines.push_back(std::move(line));
    }
    return lines;
  }

 private:
  // Empty when there is none within 10 s.
  std::string Next() {
    void* reply = nullptr;
    if (redisGetReply(context_.get(), &reply) != REDIS_OK || reply == nullptr) return {};
    const std::unique_ptr<void, decltype(&freeReplyObject)> owner(reply, &freeReplyObject);
    const auto* status = static_cast<const redisReply*>(reply);
    return {status->str, status->len};
  }

  std::unique_ptr<redisContext, decltype(&redisFree)> context_{nullptr, &redisFree};
};

// Which clients named `key` themselves: `<time> [<database> <address>] "<command>" …`, and "lua" where a script did.
std::set<std::string> Senders(const std::vector<std::string>& lines, const std::string& key) {
  std::set<std::string> senders;
  for (const std::string& line : lines) {
    const std::pair<std::string, std::string> parts = absl::StrSplit(line, absl::MaxSplits("] ", 1));
    const std::string sender = parts.first.substr(parts.first.rfind(' ') + 1);
    if (sender != "lua" && absl::StrContains(parts.second, key)) senders.insert(sender);
  }
  return senders;
}

class RedisLanesTest : public RedisStoreFixture {
 protected:
  ~RedisLanesTest() override {
    store_.reset();  // it tells the holder
    std::error_code ignored;
    if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
  }

  RedisOptions Lanes() const {
    RedisOptions options = PatientOptions();
    options.connections = 4;
    return options;
  }
  void StartLanes() {
    StartServer();
    StartStore(Lanes());
  }
  // By a name that may be given to another server.
  void StartByName() {
    StartServer({.unix_socket = true});
    std::string folder = (std::filesystem::temp_directory_path() / "larder-lanes-XXXXXX").string();
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    LeadTo(*server_);
    RedisOptions options = Lanes();
    options.unix_path = name();
    StartStore(options);
  }
  std::string name() const { return folder_ + "/redis.sock"; }
  void LeadTo(const RedisServer& server) {
    std::filesystem::remove(name());
    std::filesystem::create_symlink(server.unix_path(), name());
  }
  // Those that operations go by, by what Redis calls them.
  static std::vector<std::string> ConnectionsTo(RedisServer& server) {
    const absl::StatusOr<std::string> list = server.Command({"CLIENT", "LIST", "TYPE", "normal"});
    EXPECT_TRUE(list.ok()) << list.status();
    std::vector<std::string> ids;
    for (absl::string_view line : absl::StrSplit(*list, '\n', absl::SkipEmpty())) {
      if (absl::StrContains(line, "cmd=client")) continue;  // who asks
      const absl::string_view id = *absl::StrSplit(line, ' ').begin();
      ids.emplace_back(absl::StripPrefix(id, "id="));
    }
    return ids;
  }
  absl::Status SetOther(std::string_view value) {
    WriteRequest request = Request("key", value);
    request.name_space = "other";
    return WriteNow(*store_, std::move(request)).status();
  }

  ToldHolder holder_;
  std::string folder_;
};

TEST_F(RedisLanesTest, EachNamespaceHasAConnection) {
  ASSERT_NO_FATAL_FAILURE(StartLanes());
  const absl::StatusOr<std::unique_ptr<RedisMonitor>> monitor = RedisMonitor::Start(server_->port());
  ASSERT_TRUE(monitor.ok()) << monitor.status();
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(Set(*store_, "key", "value").ok());
    ASSERT_TRUE(SetOther("another's").ok());
    EXPECT_EQ(Value(*store_, "key"), "value");
  }
  Redis({"ECHO", "the end"});
  const std::vector<std::string> seen = (*monitor)->Until("the end");
  const std::set<std::string> ours = Senders(seen, "larder:default:e:key");
  const std::set<std::string> others = Senders(seen, "larder:other:e:key");
  EXPECT_EQ(ours.size(), 1u);
  EXPECT_EQ(others.size(), 1u);
  EXPECT_NE(ours, others);
  EXPECT_EQ(Redis({"EXISTS", "larder:default:e:key", "larder:other:e:key"}), "2");
  // One more has what belongs to no namespace, and none has nothing.
  EXPECT_EQ(ConnectionsTo(*server_).size(), 3u + 1u) << "and the one that watches";
}

TEST_F(RedisLanesTest, OneLimitHoldsForAll) {
  StartServer();
  RedisOptions options = Lanes();
  options.max_pending = 1;
  StartStore(options);
  server_->Pause();
  store_->Read({"default", {"key"}, {}, 0}, [](absl::StatusOr<ReadResult>) {});
  const absl::StatusOr<ReadResult> refused = ReadNow(*store_, {"other", {"key"}, {}, 0});
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("the limit of 1 operations"));
  server_->Resume();
  EXPECT_TRUE(Eventually([&] { return Set(*store_, "key", "value").ok(); }));
  // What an operation goes on with is not counted beside it.
  Redis({"SCRIPT", "FLUSH"});
  EXPECT_TRUE(Set(*store_, "key", "value").ok());
}

TEST_F(RedisLanesTest, ChangesAreHeardOfInAllOfThem) {
  ASSERT_NO_FATAL_FAILURE(StartLanes());
  store_->SetNearHolder(&holder_);
  ASSERT_TRUE(Eventually([&] { return store_->tracks() && holder_.renewals() > 2; }));
  for (const std::string name : {"default", "other"}) {
    Redis({"SET", "larder:" + name + ":e:key", "foreign"});
    EXPECT_TRUE(Eventually([&] { return holder_.Changed(name + "/key") > 0; })) << name;
  }
  // COHERENCE C3: another server, for all of them.
  const uint64_t ours = Generation(*store_);
  const uint64_t others = ReadControlNow(*store_, "other", {})->generation;
  server_->Kill();
  ASSERT_TRUE(server_->Restart().ok());
  ASSERT_TRUE(Eventually([&] { return Set(*store_, "key", "value").ok(); }));
  EXPECT_NE(Generation(*store_), ours);
  EXPECT_NE(ReadControlNow(*store_, "other", {})->generation, others);
  EXPECT_TRUE(Eventually([&] { return store_->tracks(); }));
}

TEST_F(RedisLanesTest, AllLeadToOneServer) {
  // First: a program that is started has what is open here open too, and closed is what nobody has open.
  absl::StatusOr<std::unique_ptr<RedisServer>> next = RedisServer::Start({.unix_socket = true});
  ASSERT_TRUE(next.ok()) << next.status();
  ASSERT_NO_FATAL_FAILURE(StartByName());
  const std::vector<std::string> lanes = ConnectionsTo(*server_);
  ASSERT_EQ(lanes.size(), 3u);
  LeadTo(**next);
  // Only one of them has a reason of its own to look for the server again.
  Redis({"CLIENT", "KILL", "ID", lanes.back()});
  EXPECT_TRUE(Eventually([&] { return ConnectionsTo(**next).size() == 3; }));
  EXPECT_TRUE(Eventually([&] { return ConnectionsTo(*server_).empty(); }));
  ASSERT_TRUE(Eventually([&] { return Set(*store_, "key", "value").ok(); }));
  ASSERT_TRUE(SetOther("value").ok());
  EXPECT_EQ(*(*next)->Command({"EXISTS", "larder:default:e:key", "larder:other:e:key"}), "2");
  EXPECT_EQ(Redis({"EXISTS", "larder:default:e:key", "larder:other:e:key"}), "0");
  EXPECT_EQ(WarningCount(), 1u) << "one turn of fortune";
  EXPECT_EQ(DescribeNow(*store_)->disconnects, 1);
}

TEST_F(RedisLanesTest, NoneIsUsedWithoutTheOthers) {
  ASSERT_NO_FATAL_FAILURE(StartByName());
  ASSERT_TRUE(Set(*store_, "key", "value").ok());
  std::filesystem::remove(name());
  Redis({"CLIENT", "KILL", "ID", ConnectionsTo(*server_).front()});
  EXPECT_TRUE(Eventually([&] { return store_->state() != StoreInfo::State::kReady; }));
  EXPECT_EQ(ConnectionsTo(*server_).size(), 2u);
  EXPECT_EQ(store_->breaker() == BreakerState::kClosed, false);
  for (const std::string name : {"default", "other"}) {
    const absl::Status refused = ReadNow(*store_, {name, {"key"}, {}, 0}).status();
    EXPECT_EQ(refused.code(), absl::StatusCode::kUnavailable) << name;
    EXPECT_THAT(std::string(refused.message()), HasSubstr("is not available: ")) << name;
  }
  LeadTo(*server_);
  EXPECT_TRUE(Eventually([&] { return Value(*store_, "key") == "value"; }));
  EXPECT_EQ(WarningCount(), 1u) << "one turn of fortune";
}

}  // namespace
}  // namespace larder
