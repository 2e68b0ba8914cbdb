#include "tests/bench/service/setup.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace larder::bench {
namespace {

constexpr double kLeastEchoPerSecond = 60'000;

// About what redis-benchmark does in a second here, to ask for as many requests as take the wanted time.
double GuessedRate(int pipeline) { return pipeline == 1 ? 130e3 : pipeline == 16 ? 1e6 : 1.5e6; }

}  // namespace

absl::StatusOr<std::unique_ptr<LarderServer>> StartLarderd(const Settings& settings, const Data& data,
                                                           const std::vector<std::string>& environment) {
  auto server = LarderServer::Start({.config = settings.config, .environment = environment});
  if (!server.ok()) return server.status();
  if (absl::Status status = Populate((*server)->address(), data.choice.keys(), data.values); !status.ok())
    return status;
  return server;
}

Load LoadOf(const Settings& settings, const std::string& target, const Data& data, size_t in_flight) {
  return {.target = target,
          .choice = &data.choice,
          .values = &data.values,
          .in_flight = in_flight,
          .warm_up_seconds = settings.warm_up_seconds,
          .seconds = settings.seconds};
}

absl::Status CheckNear(const Figures& larderd) {
  const double share = larderd.at("near_share");
  if (share >= 0.99) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("only ", share, " of the hits came from the near tier"));
}

void JudgeEcho(double per_s, Report& report) {
  if (per_s >= kLeastEchoPerSecond) return;
  report.Void(absl::StrCat("the echo answered ", static_cast<int64_t>(per_s), " calls/s, less than ",
                           static_cast<int64_t>(kLeastEchoPerSecond)));
}

absl::StatusOr<Figures> PerSecond(absl::StatusOr<double> rate) {
  if (!rate.ok()) return rate.status();
  return Figures{{"per_s", *rate}};
}

absl::StatusOr<Figures> RedisFigures(int port, int pipeline, const Settings& settings) {
  const double requests = std::max(1'000.0, GuessedRate(pipeline) * settings.seconds);
  return PerSecond(RedisBenchmark(port, pipeline, settings.keys, static_cast<uint64_t>(requests)));
}

}  // namespace larder::bench
