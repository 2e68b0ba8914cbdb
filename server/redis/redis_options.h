// Where Redis is and how it is to be treated.
#ifndef LARDER_SERVER_REDIS_REDIS_OPTIONS_H_
#define LARDER_SERVER_REDIS_REDIS_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/clock.h"

namespace larder {

struct RedisOptions {
  std::string host = "127.0.0.1";
  int port = 6379;
  std::string unix_path;  // if not empty, instead of host and port
  std::string user;       // empty: Redis' default user; any other needs a password
  std::string password;   // empty: none
  int database = 0;
  std::string prefix = "larder";  // first part of every key

  int64_t connect_timeout_nanos = kNanosPerSecond;         // until the connection is ready, handshake included
  int64_t operation_timeout_nanos = 250 * kNanosPerMilli;  // of one operation
  int64_t min_backoff_nanos = 50 * kNanosPerMilli;         // first pause before connecting again
  int64_t max_backoff_nanos = kNanosPerSecond;             // the longest
  size_t max_pending = 65'536;                             // operations that may wait at once
  size_t max_pending_bytes = size_t{256} << 20;            // what they may take in all, as sent
  int64_t renew_every_nanos = 250 * kNanosPerMilli;        // how often it is made sure that no change goes untold
  int64_t near_lease_nanos = kNanosPerSecond;              // for how long the holder relies on that
  size_t compress_from_bytes = 4'096;                      // 0: never
  size_t max_value_bytes = size_t{64} << 20;               // a larger one in Redis is not read
};

// `redis://[user[:password]@]host[:port][/database]`, percent-encoded where need be, IPv6 addresses in brackets; or
// `unix:///path`. INVALID_ARGUMENT otherwise; its message never holds any part of the URL that could be a secret.
// A user may stand there alone, as the password may come from elsewhere: CheckRedisOptions() once all is known.
absl::StatusOr<RedisOptions> ParseRedisUrl(std::string_view url);

// INVALID_ARGUMENT, naming the field, if the options contradict one another.
absl::Status CheckRedisOptions(const RedisOptions& options);

// For people: host and port, or the path. Never a secret.
std::string RedisAddress(const RedisOptions& options);

}  // namespace larder

#endif  // LARDER_SERVER_REDIS_REDIS_OPTIONS_H_
