#include "server/redis/redis_options.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace larder {
namespace {

std::string Refusal(std::string_view url) {
  absl::StatusOr<RedisOptions> options = ParseRedisUrl(url);
  EXPECT_EQ(options.status().code(), absl::StatusCode::kInvalidArgument) << url;
  return std::string(options.status().message());
}

TEST(ParseRedisUrlTest, TakesWhatItSays) {
  RedisOptions plain = *ParseRedisUrl("redis://cache.example");
  EXPECT_EQ(plain.host, "cache.example");
  EXPECT_EQ(plain.port, 6379);
  EXPECT_EQ(plain.user, "");
  EXPECT_EQ(plain.password, "");
  EXPECT_EQ(plain.database, 0);

  RedisOptions full = *ParseRedisUrl("redis://app:s%3Acret%40@10.0.0.1:7000/12");
  EXPECT_EQ(full.host, "10.0.0.1");
  EXPECT_EQ(full.port, 7000);
  EXPECT_EQ(full.user, "app");
  EXPECT_EQ(full.password, "s:cret@");
  EXPECT_EQ(full.database, 12);

  EXPECT_EQ(ParseRedisUrl("redis://:p@ss@host")->password, "p@ss");
  EXPECT_EQ(ParseRedisUrl("redis://:p:q@host")->password, "p:q");
  EXPECT_EQ(ParseRedisUrl("redis://host/")->database, 0);
}

TEST(ParseRedisUrlTest, TakesAUserWhosePasswordComesFromElsewhere) {
  for (const char* url : {"redis://app@host:7000/2", "redis://app:@host:7000/2"}) {
    RedisOptions options = *ParseRedisUrl(url);
    EXPECT_EQ(options.user, "app");
    EXPECT_EQ(options.password, "");
    EXPECT_EQ(options.host, "host");
    EXPECT_EQ(options.port, 7000);
    EXPECT_EQ(options.database, 2);
  }
}

TEST(CheckRedisOptionsTest, WantsAPasswordForAUser) {
  RedisOptions options = *ParseRedisUrl("redis://app@host");
  EXPECT_EQ(CheckRedisOptions(options), absl::InvalidArgumentError("user: needs a password"));
  options.password = "secret";
  EXPECT_TRUE(CheckRedisOptions(options).ok());
  for (const char* url : {"redis://host", "redis://:secret@host", "redis://app:secret@host", "unix:///run/redis"}) {
    EXPECT_TRUE(CheckRedisOptions(*ParseRedisUrl(url)).ok()) << url;
  }
  RedisOptions socket = *ParseRedisUrl("unix:///run/redis");
  socket.user = "app";
  EXPECT_EQ(CheckRedisOptions(socket), absl::InvalidArgumentError("user: needs a password"));
}

TEST(ParseRedisUrlTest, TakesIpv6InBrackets) {
  RedisOptions options = *ParseRedisUrl("redis://[::1]:7001/3");
  EXPECT_EQ(options.host, "::1");
  EXPECT_EQ(options.port, 7001);
  EXPECT_EQ(options.database, 3);
  EXPECT_EQ(RedisAddress(options), "[::1]:7001");
  EXPECT_EQ(ParseRedisUrl("redis://[fe80::1]")->port, 6379);
}

TEST(ParseRedisUrlTest, TakesAUnixSocket) {
  RedisOptions options = *ParseRedisUrl("unix:///run/my%20redis.sock");
  EXPECT_EQ(options.unix_path, "/run/my redis.sock");
  EXPECT_EQ(RedisAddress(options), "/run/my redis.sock");
}

TEST(ParseRedisUrlTest, TakesTls) {
  EXPECT_FALSE(ParseRedisUrl("redis://host")->tls.enabled);
  const RedisOptions options = *ParseRedisUrl("rediss://app:pw@host:7000/2");
  EXPECT_TRUE(options.tls.enabled);
  EXPECT_EQ(RedisAddress(options), "host:7000");
  EXPECT_EQ(options.password, "pw");
  EXPECT_EQ(options.database, 2);
}

TEST(ParseRedisUrlTest, TakesSentinels) {
  const RedisOptions one = *ParseRedisUrl("redis+sentinel://watch/my%20master");
  EXPECT_EQ(one.sentinels, (std::vector<RedisEndpoint>{{"watch", 26'379}}));
  EXPECT_EQ(one.master_name, "my master");
  EXPECT_EQ(one.database, 0);
  EXPECT_FALSE(one.tls.enabled);
  const RedisOptions many = *ParseRedisUrl("rediss+sentinel://app:p@w@a:1,[::1]:2,[::2],b/m/3");
  EXPECT_EQ(many.sentinels, (std::vector<RedisEndpoint>{{"a", 1}, {"::1", 2}, {"::2", 26'379}, {"b", 26'379}}));
  EXPECT_EQ(many.master_name, "m");
  EXPECT_EQ(many.database, 3);
  EXPECT_EQ(many.user, "app");
  EXPECT_EQ(many.password, "p@w");
  EXPECT_TRUE(many.tls.enabled);
  EXPECT_EQ(RedisAddress(many), "master \"m\" (sentinels a:1, [::1]:2, [::2]:26379, b:26379)");
}

TEST(OptionsForTest, SentinelsHaveUsersOfTheirOwn) {
  RedisOptions options = *ParseRedisUrl("rediss+sentinel://app:pw@a:1/m/3");
  options.sentinel_user = "watcher";
  options.sentinel_password = "sesame";
  const RedisOptions master = OptionsFor(options, {"b", 2});
  EXPECT_EQ(master.host, "b");
  EXPECT_EQ(master.port, 2);
  EXPECT_EQ(master.password, "pw");
  EXPECT_EQ(master.database, 3);
  const RedisOptions sentinel = OptionsForSentinel(options, {"a", 1});
  EXPECT_EQ(sentinel.host, "a");
  EXPECT_EQ(sentinel.user, "watcher");
  EXPECT_EQ(sentinel.password, "sesame");
  EXPECT_EQ(sentinel.database, 0);
  EXPECT_TRUE(sentinel.tls.enabled);
}

TEST(CheckRedisOptionsTest, RefusesContradictionsAboutTlsAndSentinels) {
  const auto problem = [](const RedisOptions& options) { return std::string(CheckRedisOptions(options).message()); };
  RedisOptions options = *ParseRedisUrl("redis://host");
  options.tls.ca_file = "ca";
  EXPECT_EQ(problem(options), "tls: is not in use; write rediss:// in the URL or set tls.enabled");
  options.tls.enabled = true;
  EXPECT_EQ(problem(options), "");
  options.tls.cert_file = "cert";
  EXPECT_EQ(problem(options), "tls.cert_file: needs key_file, its key");
  options.tls.key_file = "key";
  EXPECT_EQ(problem(options), "");
  options.tls.cert_file = "";
  EXPECT_EQ(problem(options), "tls.key_file: needs cert_file, which it is the key of");
  options = *ParseRedisUrl("unix:///run/redis");
  options.tls.enabled = true;
  EXPECT_EQ(problem(options), "tls.enabled: there is no TLS on a unix socket");
  options = *ParseRedisUrl("redis://host");
  options.sentinel_password = "sesame";
  EXPECT_EQ(problem(options), "sentinel: the URL names no sentinels");
  options = *ParseRedisUrl("redis+sentinel://host/m");
  options.sentinel_user = "watcher";
  EXPECT_EQ(problem(options), "sentinel.user: needs a password");
}

TEST(ParseRedisUrlTest, RefusesTheRestAndSaysWhy) {
  const std::string schemes =
      "redis://, rediss://, redis+sentinel://, rediss+sentinel://, redis+cluster://, rediss+cluster:// or unix://";
  EXPECT_EQ(Refusal(""), "Redis URL: it must begin with " + schemes);
  EXPECT_EQ(Refusal("localhost:6379"), "Redis URL: it must begin with " + schemes);
  for (const char* url : {"redis+other://a,b", "redisscluster://a", "http://host", "REDIS://host"}) {
    EXPECT_EQ(Refusal(url), "Redis URL: this release supports the schemes " + schemes);
  }
  EXPECT_EQ(Refusal("redis+cluster://"), "Redis URL: it has no host");
  EXPECT_EQ(Refusal("redis+cluster://a,b:0"), "Redis URL: the port must be a number from 1 to 65535");
  EXPECT_EQ(Refusal("redis+cluster://a/1"), "Redis URL: a Cluster has no databases");
  EXPECT_EQ(Refusal("redis+sentinel://a,b"),
            "Redis URL: the sentinels must be followed by /, and the name of the master that they watch");
  EXPECT_EQ(Refusal("redis+sentinel://a,b/"),
            "Redis URL: the sentinels must be followed by /, and the name of the master that they watch");
  EXPECT_EQ(Refusal("redis+sentinel:///m"), "Redis URL: it has no host");
  EXPECT_EQ(Refusal("redis+sentinel://a,,b/m"), "Redis URL: it has no host");
  EXPECT_EQ(Refusal("redis+sentinel://a,b:x/m"), "Redis URL: the port must be a number from 1 to 65535");
  EXPECT_EQ(Refusal("redis+sentinel://a/m/x"), "Redis URL: the database must be a number from 0 to 16383");
  EXPECT_EQ(Refusal("redis://"), "Redis URL: it has no host");
  EXPECT_EQ(Refusal("redis:///2"), "Redis URL: it has no host");
  for (const char* url : {"redis://host:", "redis://host:0", "redis://host:65536", "redis://host:12x", "redis://::1"}) {
    const std::string why = Refusal(url);
    EXPECT_TRUE(why == "Redis URL: the port must be a number from 1 to 65535" || why == "Redis URL: it has no host")
        << why;
  }
  EXPECT_EQ(Refusal("redis://host/x"), "Redis URL: the database must be a number from 0 to 16383");
  EXPECT_EQ(Refusal("redis://host/-1"), "Redis URL: the database must be a number from 0 to 16383");
  EXPECT_EQ(Refusal("redis://host/99999999999"), "Redis URL: the database must be a number from 0 to 16383");
  EXPECT_EQ(Refusal("redis://[::1"), "Redis URL: an IPv6 address must end with ]");
  EXPECT_EQ(Refusal("redis://[::1]7000"), "Redis URL: only a port may follow an IPv6 address");
  EXPECT_EQ(Refusal("redis://host?db=1"), "Redis URL: it must not have a query or a fragment");
  EXPECT_EQ(Refusal("unix://relative"), "Redis URL: unix:// must be followed by an absolute path");
}

TEST(ParseRedisUrlTest, NeverRepeatsASecret) {
  for (const char* url : {"redis://app:hunter2%zz@host", "redis://app:hunter2@host:bad", "rediss://app:hunter2@host:x",
                          "redis://app:hunter2@", "redis://app:hunter2%4@host", "app:hunter2@host"}) {
    EXPECT_EQ(Refusal(url).find("hunter2"), std::string::npos) << Refusal(url);
  }
}

}  // namespace
}  // namespace larder
