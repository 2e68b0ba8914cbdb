// What Redis answers.
#ifndef LARDER_SERVER_REDIS_REDIS_REPLY_H_
#define LARDER_SERVER_REDIS_REDIS_REPLY_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"

struct redisReply;

namespace larder {

struct FreeRedisReply {
  void operator()(redisReply* reply) const;
};
using RedisReplyPtr = std::unique_ptr<redisReply, FreeRedisReply>;

// Looks at a reply without owning it. Asking for what it is not gives nothing.
class RedisReplyView {
 public:
  explicit RedisReplyView(const redisReply* reply) : reply_(reply) {}
  explicit RedisReplyView(const RedisReplyPtr& reply) : reply_(reply.get()) {}

  bool IsError() const;
  bool IsNull() const;
  bool IsArray() const;

  // Of an error: its first word, such as WRONGTYPE. Of one that ended a script, also where Redis before 7 wraps it: the
  // first word of what the script's command failed with.
  std::string_view ErrorCode() const;
  // Of a string, status or error.
  std::optional<std::string_view> Text() const;
  // Of an integer, or of a string that is one.
  std::optional<int64_t> Integer() const;
  // Of a double, an integer, or a string that is one.
  std::optional<double> Number() const;
  // Of an array, map, set or push; 0 of anything else.
  size_t size() const;
  RedisReplyView operator[](size_t i) const;

 private:
  const redisReply* reply_;
};

// What a caller is told of an error reply: RESOURCE_EXHAUSTED if Redis is out of memory, UNAVAILABLE if it refuses to
// serve (loading, a replica, wrong credentials, ...), else INTERNAL. OK for any other reply.
absl::Status StatusOfReply(RedisReplyView reply);

// True if the server is not what it was when the connection was made: the role, the data or the trust is another, and
// what it is now is to be found out by connecting again.
bool NeedsNewLogin(std::string_view error_code);

// True if no retry can mend it: somebody must change a configuration.
bool IsConfigurationError(std::string_view error_code);

// The value of `name` in the text that INFO answers.
std::optional<std::string_view> InfoField(std::string_view info, std::string_view name);
int64_t InfoNumber(std::string_view info, std::string_view name);  // 0 if it is not there

}  // namespace larder

#endif  // LARDER_SERVER_REDIS_REDIS_REPLY_H_
