// What comes out of Redis; and what others make of it, for comparison.
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/bench/service/memcached_load.h"
#include "tests/bench/service/scenarios.h"
#include "tests/bench/service/setup.h"
#include "tests/bench/service/store_fetch.h"

namespace larder::bench {

absl::Status StoreUnary(const Settings& settings, Report& report) {
  constexpr size_t kInFlight = 64;
  const Data data(settings.keys, kSmallValue);
  const auto redis = RedisServer::Start();
  if (!redis.ok()) return redis.status();
  if (absl::Status status = PopulateRedis((*redis)->port(), settings.keys, data.values); !status.ok()) return status;
  const auto larderd = StartLarderd(settings, data, {"REDIS_URL=" + (*redis)->url()});
  if (!larderd.ok()) return larderd.status();
  const auto blocking = StartReference({"blocking", "--redis-port", absl::StrCat((*redis)->port())});
  if (!blocking.ok()) return blocking.status();

  const Load near = LoadOf(settings, (*larderd)->address(), data, kInFlight);
  Load store = near;
  store.from_store = true;
  Load by_blocking = near;
  by_blocking.target = (*blocking)->address();
  const std::pair<std::string, pid_t> ours = {"larderd", (*larderd)->pid()};
  const std::pair<std::string, pid_t> theirs = {"blocking", (*blocking)->pid()};
  const std::pair<std::string, pid_t> behind = {"redis", (*redis)->pid()};
  auto medians = Interleave(settings, "store_unary",
                            {{"near", [&] { return Measure(near, {ours}); }},
                             {"store",
                              [&] {
                                return Measure(store, {ours, behind});
                              }},
                             {"blocking",
                              [&] {
                                return Measure(by_blocking, {theirs, behind});
                              }}},
                            report);
  if (!medians.ok()) return medians.status();
  const double per_s = (*medians)["store"]["per_s"];
  report.Ratio("store_unary_vs_near", per_s / (*medians)["near"]["per_s"]);
  report.Ratio("store_vs_blocking", per_s / (*medians)["blocking"]["per_s"]);
  if ((*medians)["store"]["near_share"] > 0) return absl::InternalError("reads past the near tier came from it");
  return CheckNear((*medians)["near"]);
}

absl::Status StoreAlone(const Settings& settings, Report& report) {
  const Data data(settings.keys, kSmallValue);
  const auto redis = RedisServer::Start();
  if (!redis.ok()) return redis.status();
  const int port = (*redis)->port();
  if (absl::Status status = PopulateRedis(port, settings.keys, data.values); !status.ok()) return status;
  if (absl::Status status = PopulateStore(port, settings.keys, data.values); !status.ok()) return status;

  const StoreFetch fetch = {.redis_port = port,
                            .choice = &data.choice,
                            .values = &data.values,
                            .warm_up_seconds = settings.warm_up_seconds,
                            .seconds = settings.seconds};
  auto medians = Interleave(settings, "store_fetch",
                            {{"store", [&] { return PerSecond(RunStoreFetch(fetch)); }},
                             {"redis", [&] { return RedisFigures(port, 16, settings); }}},
                            report);
  if (!medians.ok()) return medians.status();
  report.Ratio("store_fetch_vs_redis_p16", (*medians)["store"]["per_s"] / (*medians)["redis"]["per_s"]);
  return absl::OkStatus();
}

absl::Status RedisAlone(const Settings& settings, Report& report) {
  const auto redis = RedisServer::Start();
  if (!redis.ok()) return redis.status();
  const int port = (*redis)->port();
  if (absl::Status status = PopulateRedis(port, settings.keys, Values(kSmallValue)); !status.ok()) return status;
  return Interleave(settings, "redis_benchmark",
                    {{"p1", [&] { return RedisFigures(port, 1, settings); }},
                     {"p16", [&] { return RedisFigures(port, 16, settings); }},
                     {"p64", [&] { return RedisFigures(port, 64, settings); }}},
                    report)
      .status();
}

absl::Status MemcachedAlone(const Settings& settings, Report& report) {
  if (!IsInstalled("memcached")) return absl::NotFoundError("memcached is not installed");
  const Data data(settings.keys, kSmallValue);
  const auto memcached = MemcachedServer::Start();
  if (!memcached.ok()) return memcached.status();
  const int port = (*memcached)->port();
  if (absl::Status status = PopulateMemcached(port, settings.keys, data.values); !status.ok()) return status;
  const MemcachedLoad load = {.port = port,
                              .choice = &data.choice,
                              .values = &data.values,
                              .warm_up_seconds = settings.warm_up_seconds,
                              .seconds = settings.seconds};
  return Interleave(settings, "memcached", {{"p16", [&] { return PerSecond(RunMemcachedLoad(load)); }}}, report)
      .status();
}

}  // namespace larder::bench
