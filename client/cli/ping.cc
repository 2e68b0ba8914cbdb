#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "client/cli/command.h"
#include "client/cli/latency_histogram.h"
#include "client/cli/text.h"
#include "core/clock.h"
#include "grpc/health/v1/health.grpc.pb.h"

namespace larder {
namespace {

using grpc::health::v1::Health;
using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

struct PingOptions {
  int count = 1;
};

double Micros(int64_t nanos) { return static_cast<double>(nanos) / static_cast<double>(kNanosPerMicro); }

void WriteOne(const std::string& state, int64_t nanos, const Connection& connection, Output& output) {
  if (output.json()) {
    output.Json({{"status", state}, {"address", connection.address()}, {"round_trip_us", Micros(nanos)}});
  } else {
    output.Line(absl::StrCat(state, " from ", connection.address(), " in ", HumanMicros(Micros(nanos))));
  }
}

void WriteSummary(const LatencyHistogram& round_trips, Output& output) {
  const double median = Micros(round_trips.QuantileNanos(0.5));
  const double p99 = Micros(round_trips.QuantileNanos(0.99));
  const double max = Micros(round_trips.max_nanos());
  if (output.json()) {
    output.Json({{"count", round_trips.count()}, {"p50_us", median}, {"p99_us", p99}, {"max_us", max}});
  } else {
    output.Line(absl::StrCat(round_trips.count(), " round trips: p50 ", HumanMicros(median), ", p99 ", HumanMicros(p99),
                             ", max ", HumanMicros(max)));
  }
}

ExitCode RunPing(const PingOptions& options, const Connection& connection, Output& output) {
  const std::unique_ptr<Health::Stub> health = Health::NewStub(connection.channel());
  const SystemClock clock;
  LatencyHistogram round_trips;
  ExitCode code = ExitCode::kOk;
  for (int i = 0; i < options.count; ++i) {
    HealthCheckResponse response;
    grpc::ClientContext context;
    connection.SetDeadline(&context);
    const int64_t start = clock.NowNanos();
    const grpc::Status status = health->Check(&context, HealthCheckRequest(), &response);
    const int64_t nanos = clock.NowNanos() - start;
    if (!status.ok()) return output.Fail(status);
    round_trips.Record(nanos);
    WriteOne(HealthCheckResponse::ServingStatus_Name(response.status()), nanos, connection, output);
    if (response.status() != HealthCheckResponse::SERVING) code = ExitCode::kService;
  }
  if (options.count > 1) WriteSummary(round_trips, output);
  return code;
}

}  // namespace

void AddPing(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("ping", "Ask for the server's health and time the round trip");
  const auto options = std::make_shared<PingOptions>();
  command->add_option("--count", options->count, "How often, one after the other")
      ->check(CLI::Range(1, 1'000'000))
      ->type_name("N")
      ->capture_default_str();
  command->callback([options, &action] {
    action = [options](const Connection& connection, Output& output) { return RunPing(*options, connection, output); };
  });
}

}  // namespace larder
