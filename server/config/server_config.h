// What larderd runs with: every value resolved and checked.
#ifndef LARDER_SERVER_CONFIG_SERVER_CONFIG_H_
#define LARDER_SERVER_CONFIG_SERVER_CONFIG_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "server/config/resources.h"
#include "server/log/logger.h"
#include "server/policy/policy.h"

namespace larder {

// How near entries are kept up to date: Redis tells of changes, or replicas tell each other, or by age alone.
enum class NearCoherence { kTracking, kPubsub, kAge };
// As the configuration has it.
std::string_view ToString(NearCoherence coherence);
std::optional<NearCoherence> ParseNearCoherence(std::string_view text);

// Plain data. docs/configuration.md says what each value means; the defaults that depend on the machine are filled in
// by LoadConfig.
struct ServerSettings {
  struct Grpc {
    std::string listen;  // host:port
    int threads = 1;
    int64_t max_request_bytes = 0;
    int64_t max_response_bytes = 0;
    int max_concurrent_streams = 0;
    int64_t max_connection_age_ms = 0;
    int64_t drain_timeout_ms = 0;
    int max_pipeline_operations = 0;
    int64_t max_pipeline_bytes = 0;
  };
  struct Operations {
    std::string listen;  // host:port; empty: no operations server
  };
  struct Near {
    int64_t capacity_bytes = 0;  // 0: no near tier
    NearCoherence coherence = NearCoherence::kTracking;
    int64_t lease_ms = 1'000;  // of tracking
    int64_t max_strong_waits = 10'000;
  };
  struct Embedded {
    int64_t capacity_bytes = 0;
  };
  struct RedisTls {
    std::optional<bool> enabled;  // else as the URL says
    std::string ca_file;          // these are empty where they are not set
    std::string ca_path;
    std::string cert_file;
    std::string key_file;
    std::string server_name;
  };
  struct RedisSentinel {
    std::string user;
    std::optional<std::string> password;  // read from the file where one is named
  };
  struct Redis {
    std::string url;                      // empty: the embedded store
    std::optional<std::string> user;      // in place of the URL's
    std::optional<std::string> password;  // in place of the URL's; read from the file where one is named
    std::optional<int> database;          // in place of the URL's
    std::string prefix;
    int64_t connect_timeout_ms = 0;
    int64_t operation_timeout_ms = 0;
    int64_t min_backoff_ms = 0;
    int64_t max_backoff_ms = 0;
    int max_pending = 0;
    int connections = 0;              // to one Redis
    int64_t compress_from_bytes = 0;  // 0: never
    int64_t journal_entries = 0;      // invalidations that wait for Redis to come back
    RedisTls tls;
    RedisSentinel sentinel;
  };
  struct Sweep {
    int64_t interval_ms = 5'000;
    int max_keys_per_second = 10'000;
    int step_keys = 100;
  };
  struct Watch {
    int buffer_events = 65'536;
    int max_watchers = 1'000;
  };

  Grpc grpc;
  Operations operations;
  Near near;
  Embedded embedded;
  Redis redis;
  Sweep sweep;
  Watch watch;
  bool warming_enabled = true;  // false: no configured warm-up runs by itself; from the environment only
  Logger::Options log;
  // By name; always with `default`. Their near shares together are at most 1.
  std::vector<NamespacePolicy> namespaces;
};

// Environment variables by name.
using Environment = std::map<std::string, std::string>;

// This process's environment.
Environment ProcessEnvironment();

struct LoadOptions {
  // A YAML or JSON file; where it is empty, the one that LARDER_CONFIG names; without that, none.
  std::string file;
  Environment environment;
  Resources resources;
};

struct LoadedConfig {
  ServerSettings settings;
  // What was accepted but will not do what its author may expect; to be logged.
  std::vector<std::string> warnings;
};

// Reads the file, lays the environment over it, fills in the defaults, and checks everything. INVALID_ARGUMENT with all
// that is wrong, a line for each problem, with the place it comes from: `larder.yaml:12: grpc.threads: 0, must be 1 to
// 256`, `REDIS_DB: store.redis.database: "x" is not a whole number`. Blocks on reading files.
absl::StatusOr<LoadedConfig> LoadConfig(const LoadOptions& options);

}  // namespace larder

#endif  // LARDER_SERVER_CONFIG_SERVER_CONFIG_H_
