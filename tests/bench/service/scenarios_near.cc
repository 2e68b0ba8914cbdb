// Near hits: what the service adds to what gRPC costs.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/bench/service/scenarios.h"
#include "tests/bench/service/setup.h"

namespace larder::bench {
namespace {

constexpr size_t kInFlight = 256;
constexpr double kShareOfMaximum = 0.6;

// Of the echo and the callback echo all answers are those of key 0.
Data EchoData(size_t value_bytes) { return {1, value_bytes}; }

std::vector<std::string> EchoArguments(const Settings& settings, const std::string& mode, size_t value_bytes) {
  return {mode, "--value-bytes", absl::StrCat(value_bytes), "--wrong-every", absl::StrCat(settings.wrong_every)};
}

}  // namespace

absl::Status NearUnary(const Settings& settings, Report& report) {
  const Data data(settings.keys, kSmallValue);
  const Data echo_data = EchoData(kSmallValue);
  const auto larderd = StartLarderd(settings, data, {});
  if (!larderd.ok()) return larderd.status();
  const auto echo = StartReference(EchoArguments(settings, "echo", kSmallValue));
  if (!echo.ok()) return echo.status();
  const auto callback = StartReference(EchoArguments(settings, "callback", kSmallValue));
  if (!callback.ok()) return callback.status();

  const Load near = LoadOf(settings, (*larderd)->address(), data, kInFlight);
  const Load plain = LoadOf(settings, (*echo)->address(), echo_data, kInFlight);
  const Load by_callback = LoadOf(settings, (*callback)->address(), echo_data, kInFlight);
  auto medians = Interleave(settings, "near_unary",
                            {{"larderd",
                              [&] {
                                return Measure(near, {{"larderd", (*larderd)->pid()}});
                              }},
                             {"echo",
                              [&] {
                                return Measure(plain, {{"echo", (*echo)->pid()}});
                              }},
                             {"callback",
                              [&] {
                                return Measure(by_callback, {{"callback", (*callback)->pid()}});
                              }}},
                            report);
  if (!medians.ok()) return medians.status();
  const double per_s = (*medians)["larderd"]["per_s"];
  JudgeEcho((*medians)["echo"]["per_s"], report);
  report.Ratio("near_unary_vs_echo", per_s / (*medians)["echo"]["per_s"]);
  report.Ratio("near_unary_vs_callback_echo", per_s / (*medians)["callback"]["per_s"]);
  return CheckNear((*medians)["larderd"]);
}

absl::Status NearTail(const Settings& settings, Report& report) {
  const Data data(settings.keys, kSmallValue);
  const Data echo_data = EchoData(kSmallValue);
  const auto larderd = StartLarderd(settings, data, {});
  if (!larderd.ok()) return larderd.status();
  const auto echo = StartReference(EchoArguments(settings, "echo", kSmallValue));
  if (!echo.ok()) return echo.status();

  Load near = LoadOf(settings, (*larderd)->address(), data, kInFlight);
  Load plain = LoadOf(settings, (*echo)->address(), echo_data, kInFlight);
  auto maximum = Interleave(settings, "near_p99_maximum", {{"echo", [&] { return Measure(plain, {}); }}}, report);
  if (!maximum.ok()) return maximum.status();
  JudgeEcho((*maximum)["echo"]["per_s"], report);
  near.rate = plain.rate = kShareOfMaximum * (*maximum)["echo"]["per_s"];
  auto medians = Interleave(settings, "near_p99",
                            {{"larderd",
                              [&] {
                                return Measure(near, {{"larderd", (*larderd)->pid()}});
                              }},
                             {"echo",
                              [&] {
                                return Measure(plain, {{"echo", (*echo)->pid()}});
                              }}},
                            report);
  if (!medians.ok()) return medians.status();
  report.Ratio("near_p99_vs_echo", (*medians)["larderd"]["p99_us"] / (*medians)["echo"]["p99_us"]);
  return CheckNear((*medians)["larderd"]);
}

absl::Status NearH2Load(const Settings& settings, Report& report) {
  if (!IsInstalled("h2load")) return absl::NotFoundError("h2load is not installed");
  const Data data(1, kSmallValue);
  const auto larderd = StartLarderd(settings, data, {});
  if (!larderd.ok()) return larderd.status();
  const auto echo = StartReference(EchoArguments(settings, "echo", kSmallValue));
  if (!echo.ok()) return echo.status();

  auto medians = Interleave(
      settings, "h2load",
      {{"larderd", [&] { return PerSecond(H2Load((*larderd)->port(), settings.warm_up_seconds, settings.seconds)); }},
       {"echo", [&] { return PerSecond(H2Load((*echo)->port(), settings.warm_up_seconds, settings.seconds)); }}},
      report);
  if (!medians.ok()) return medians.status();
  // h2load does not look into the answers.
  const double answered = (*larderd)->Metric("cache_requests_total", {"tier=\"near\"", "result=\"hit\""});
  if (answered < settings.runs * (*medians)["larderd"]["per_s"] * settings.seconds / 2) {
    return absl::DataLossError(absl::StrCat("h2load was answered with no more than ", answered, " near hits"));
  }
  report.Ratio("h2load_vs_echo", (*medians)["larderd"]["per_s"] / (*medians)["echo"]["per_s"]);
  return absl::OkStatus();
}

absl::Status NearBatch(const Settings& settings, Report& report) {
  const Data data(settings.keys, kSmallValue);
  const auto larderd = StartLarderd(settings, data, {});
  if (!larderd.ok()) return larderd.status();
  const auto redis = RedisServer::Start();
  if (!redis.ok()) return redis.status();
  if (absl::Status status = PopulateRedis((*redis)->port(), settings.keys, data.values); !status.ok()) return status;

  Load batches = LoadOf(settings, (*larderd)->address(), data, /*in_flight=*/64);
  batches.batch = 64;
  auto medians = Interleave(settings, "batch64",
                            {{"larderd",
                              [&] {
                                return Measure(batches, {{"larderd", (*larderd)->pid()}});
                              }},
                             {"redis", [&] { return RedisFigures((*redis)->port(), 64, settings); }}},
                            report);
  if (!medians.ok()) return medians.status();
  report.Ratio("batch64_vs_redis_p64", (*medians)["larderd"]["per_s"] / (*medians)["redis"]["per_s"]);
  return CheckNear((*medians)["larderd"]);
}

absl::Status NearPipeline(const Settings& settings, Report& report) {
  const Data data(settings.keys, kSmallValue);
  const auto larderd = StartLarderd(settings, data, {});
  if (!larderd.ok()) return larderd.status();
  const auto redis = RedisServer::Start();
  if (!redis.ok()) return redis.status();
  if (absl::Status status = PopulateRedis((*redis)->port(), settings.keys, data.values); !status.ok()) return status;

  Load pipeline = LoadOf(settings, (*larderd)->address(), data, /*in_flight=*/1'024);
  pipeline.pipeline = true;
  auto medians = Interleave(settings, "pipeline",
                            {{"larderd",
                              [&] {
                                return Measure(pipeline, {{"larderd", (*larderd)->pid()}});
                              }},
                             {"redis", [&] { return RedisFigures((*redis)->port(), 16, settings); }}},
                            report);
  if (!medians.ok()) return medians.status();
  report.Ratio("pipeline_vs_redis_p16", (*medians)["larderd"]["per_s"] / (*medians)["redis"]["per_s"]);
  return CheckNear((*medians)["larderd"]);
}

absl::Status Mixes(const Settings& settings, Report& report) {
  Settings once = settings;
  once.runs = 1;
  once.seconds = settings.seconds / 2;
  once.warm_up_seconds = settings.warm_up_seconds / 2;
  for (const size_t bytes : {size_t{100}, size_t{230}, size_t{1'024}, size_t{65'536}}) {
    const uint64_t keys = bytes > 1'024 ? settings.large_keys : settings.keys;
    const auto larderd = StartLarderd(settings, Data(keys, bytes), {});
    if (!larderd.ok()) return larderd.status();
    for (const double exponent : {0.99, 1.2}) {
      const Data data(keys, bytes, exponent);
      std::vector<Side> sides;
      for (const int writes : {0, 5, 14}) {
        Load load = LoadOf(once, (*larderd)->address(), data, /*in_flight=*/64);
        load.write_share = writes / 100.0;
        sides.push_back({absl::StrCat(100 - writes, "_", writes), [load, pid = (*larderd)->pid()] {
                           return Measure(load, {{"larderd", pid}});
                         }});
      }
      auto medians = Interleave(once, absl::StrCat("mixes.", bytes, "B_zipf", exponent), sides, report);
      if (!medians.ok()) return medians.status();
    }
  }
  return absl::OkStatus();
}

}  // namespace larder::bench
