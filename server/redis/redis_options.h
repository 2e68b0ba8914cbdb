// Where Redis is and how it is to be treated.
#ifndef LARDER_SERVER_REDIS_REDIS_OPTIONS_H_
#define LARDER_SERVER_REDIS_REDIS_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/clock.h"

namespace larder {

struct RedisEndpoint {
  std::string host;
  int port = 0;

  friend bool operator==(const RedisEndpoint&, const RedisEndpoint&) = default;
};

// The certificate and the name in it are verified always.
struct RedisTlsOptions {
  bool enabled = false;
  // Paths of files in PEM form; empty: none, and for the CAs those of the system, unless there is a folder of them.
  std::string ca_file;
  std::string ca_path;
  std::string cert_file;
  std::string key_file;
  std::string server_name;  // empty: the host that is connected to
};

struct RedisOptions {
  std::string host = "127.0.0.1";
  int port = 6379;
  std::string unix_path;  // if not empty, instead of host and port
  // If not empty, these say which host and port the master of that name has.
  std::vector<RedisEndpoint> sentinels;
  std::string master_name;
  // If not empty, Redis is a Cluster, and these are some of its nodes.
  std::vector<RedisEndpoint> cluster;
  std::string sentinel_user;      // as `user` and `password`, for sentinels
  std::string sentinel_password;  // empty: none
  RedisTlsOptions tls;            // for sentinels too
  std::string user;               // empty: Redis' default user; any other needs a password
  std::string password;           // empty: none
  int database = 0;
  std::string prefix = "larder";  // first part of every key

  int64_t connect_timeout_nanos = kNanosPerSecond;         // until the connection is ready, handshake included
  int64_t operation_timeout_nanos = 250 * kNanosPerMilli;  // of one operation
  int64_t min_backoff_nanos = 50 * kNanosPerMilli;         // first pause before connecting again
  int64_t max_backoff_nanos = kNanosPerSecond;             // the longest
  size_t connections = 1;                                  // for operations, where there is but one server
  size_t max_pending = 65'536;                             // operations that may wait at once
  size_t max_pending_bytes = size_t{256} << 20;            // what they may take in all, as sent
  int64_t renew_every_nanos = 250 * kNanosPerMilli;        // how often it is made sure that no change goes untold
  int64_t near_lease_nanos = kNanosPerSecond;              // for how long the holder relies on that
  bool tracks = true;                                      // else changes are heard of on channels alone
  int64_t look_again_nanos = 30 * kNanosPerSecond;         // at a Redis that refused to tell of changes
  size_t compress_from_bytes = 4'096;                      // 0: never
  size_t max_value_bytes = size_t{64} << 20;               // a larger one in Redis is not read
};

// `redis://[user[:password]@]host[:port][/database]`, percent-encoded where need be, IPv6 addresses in brackets;
// `redis+sentinel://[user[:password]@]host[:port][,host[:port]...]/master-name[/database]`;
// `redis+cluster://[user[:password]@]host[:port][,host[:port]...]`; each with `rediss` for TLS; or `unix:///path`.
// INVALID_ARGUMENT otherwise; its message never holds any part of the URL that could be a secret. A user may stand
// there alone, as the password may come from elsewhere: CheckRedisOptions() once all is known.
absl::StatusOr<RedisOptions> ParseRedisUrl(std::string_view url);

// INVALID_ARGUMENT, naming the field, if the options contradict one another.
absl::Status CheckRedisOptions(const RedisOptions& options);

// For people: host and port, the path, or the master's name and the sentinels. Never a secret.
std::string RedisAddress(const RedisOptions& options);
// Host and port as a URL has them.
std::string EndpointText(const RedisEndpoint& endpoint);
std::string EndpointsText(const std::vector<RedisEndpoint>& endpoints);

// The options for one server among those that the options speak of: the master that was found, a node of the Cluster,
// or a sentinel.
RedisOptions OptionsFor(const RedisOptions& options, const RedisEndpoint& master);
RedisOptions OptionsForSentinel(const RedisOptions& options, const RedisEndpoint& sentinel);

}  // namespace larder

#endif  // LARDER_SERVER_REDIS_REDIS_OPTIONS_H_
