#include "tests/chaos/server_faults.h"

#include <array>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include "absl/status/statusor.h"

namespace larder::chaos {
namespace {

// --- Its data ---

absl::Status Flush(RedisServer& redis, Random&) {
  static_cast<void>(redis.Command({"FLUSHALL"}));
  return absl::OkStatus();
}

absl::Status DropControlRecord(RedisServer& redis, Random&) {
  static_cast<void>(redis.Command({"DEL", "larder:{default}:ctl"}));
  return absl::OkStatus();
}

// Nothing can be stored, and nothing is evicted for it; invalidations must get through all the same (COHERENCE C6).
absl::Status FillMemory(RedisServer& redis, Random& random) {
  std::array<std::string, 2> before;
  const std::array<std::string, 2> names = {"maxmemory", "maxmemory-policy"};
  for (size_t i = 0; i < names.size(); ++i) {
    absl::StatusOr<std::string> answer = redis.Command({"CONFIG", "GET", names[i]});
    if (!answer.ok()) return answer.status();
    before[i] = answer->substr(answer->find('\n') + 1);
  }
  if (absl::Status status =
          redis.Command({"CONFIG", "SET", "maxmemory", "1", "maxmemory-policy", "noeviction"}).status();
      !status.ok()) {
    return status;
  }
  SleepMillis(Between(random, 100, 1'800));
  return redis.Command({"CONFIG", "SET", names[0], before[0], names[1], before[1]}).status();
}

// --- Its process ---

absl::Status Stop(RedisServer& redis, Random& random) {
  redis.Pause();
  SleepMillis(Between(random, 50, 1'800));
  redis.Resume();
  return absl::OkStatus();
}

absl::Status RestartWithData(RedisServer& redis, Random& random) {
  static_cast<void>(redis.Command({"SHUTDOWN", "SAVE"}));  // it hangs up rather than answer
  redis.Stop();
  SleepMillis(Between(random, 0, 500));
  return redis.Restart();
}

// What was acknowledged since the snapshot is lost, and what was replaced since comes back.
absl::Status RestartWithOldData(RedisServer& redis, Random& random) {
  if (absl::Status status = redis.Command({"SAVE"}).status(); !status.ok()) return status;
  SleepMillis(Between(random, 100, 800));
  redis.Kill();
  SleepMillis(Between(random, 0, 300));
  return redis.Restart();
}

absl::Status RestartWithoutData(RedisServer& redis, Random& random) {
  absl::StatusOr<std::string> folder = redis.Command({"CONFIG", "GET", "dir"});
  if (!folder.ok()) return folder.status();
  std::error_code ignored;  // there may be none
  std::filesystem::remove(folder->substr(folder->find('\n') + 1) + "/dump.rdb", ignored);
  redis.Kill();
  SleepMillis(Between(random, 0, 300));
  return redis.Restart();
}

constexpr std::array kDataFaults = {
    ServerFault{"flush", Flush},
    ServerFault{"drop-control", DropControlRecord},
    ServerFault{"fill-memory", FillMemory},
};

constexpr std::array kProcessFaults = {
    ServerFault{"stop-redis", Stop},
    ServerFault{"restart-redis", RestartWithData},
    ServerFault{"restart-redis-old", RestartWithOldData},
    ServerFault{"restart-redis-empty", RestartWithoutData},
};

}  // namespace

std::span<const ServerFault> DataFaults() { return kDataFaults; }

std::span<const ServerFault> ProcessFaults() { return kProcessFaults; }

}  // namespace larder::chaos
