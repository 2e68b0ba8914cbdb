// More than the server can do.
#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/clock.h"
#include "tests/bench/service/scenarios.h"
#include "tests/bench/service/setup.h"

namespace larder::bench {
namespace {

constexpr size_t kLargeValue = 65'536;
constexpr uint64_t kManyKeys = 999'999'999'999;  // as many as have a name
constexpr double kLeastSeconds = 0.5;            // the origin takes a part of that for each call
constexpr double kTimes = 2;                     // what the server can do
constexpr double kDeadlineSeconds = 1;           // an answer after this is of no use to its caller

double Millis(int64_t nanos) { return static_cast<double>(nanos) / static_cast<double>(kNanosPerMilli); }

// `per_s` is what was answered with the value and in time.
absl::StatusOr<Figures> MeasureGoodput(const Load& load) {
  absl::StatusOr<LoadResult> result = RunLoad(load, {});
  if (!result.ok()) return result.status();
  if (absl::Status status = result->Check(); !status.ok()) return status;
  const double seconds = result->seconds;
  return Figures{{"per_s", static_cast<double>(result->calls - result->missed) / seconds},
                 {"offered_per_s", load.rate},
                 {"p99_ms", Millis(result->latency.QuantileNanos(0.99))},
                 {"missed_per_s", static_cast<double>(result->missed) / seconds},
                 {"refused_per_s", static_cast<double>(result->refused) / seconds},
                 {"refused_p99_ms", Millis(result->refusal_latency.QuantileNanos(0.99))},
                 {"late_per_s", static_cast<double>(result->late) / seconds}};
}

// Goodput at twice of what the server can do, which is what it does in a closed loop, against that.
absl::StatusOr<double> Goodput(const Settings& settings, const std::string& what, const Load& peak, Report& report) {
  auto capacity = Interleave(settings, what + "_capacity", {{"larderd", [&] { return MeasureGoodput(peak); }}}, report);
  if (!capacity.ok()) return capacity.status();
  if ((*capacity)["larderd"]["per_s"] == 0) return absl::UnavailableError("nothing was answered in time");
  Load twice = peak;
  twice.rate = kTimes * (*capacity)["larderd"]["per_s"];
  twice.deadline_seconds = kDeadlineSeconds;
  auto medians = Interleave(
      settings, what,
      {{"peak", [&] { return MeasureGoodput(peak); }}, {"twice", [&] { return MeasureGoodput(twice); }}}, report);
  if (!medians.ok()) return medians.status();
  return (*medians)["twice"]["per_s"] / (*medians)["peak"]["per_s"];
}

}  // namespace

absl::Status Overload(const Settings& settings, Report& report) {
  const auto origin = StartReference({"origin", "--value-bytes", absl::StrCat(kSmallValue)});
  if (!origin.ok()) return origin.status();
  const std::string config =
      absl::StrCat("namespaces:\n  default:\n    origin:\n      target: ", (*origin)->address(), "\n");
  const auto larderd = LarderServer::Start({.config = config});
  if (!larderd.ok()) return larderd.status();
  // No key twice, so that each has to be loaded.
  const Data data(kManyKeys, kSmallValue);
  Load load = LoadOf(settings, (*larderd)->address(), data, /*in_flight=*/1'024);
  load.seconds = std::max(load.seconds, kLeastSeconds);
  const absl::StatusOr<double> share = Goodput(settings, "overload", load, report);
  if (!share.ok()) return share.status();
  report.Ratio("overload_goodput", *share);
  return absl::OkStatus();
}

absl::Status OverloadLarge(const Settings& settings, Report& report) {
  const Data data(settings.large_keys, kLargeValue);
  const auto larderd = StartLarderd(settings, data, {});
  if (!larderd.ok()) return larderd.status();
  const Load load = LoadOf(settings, (*larderd)->address(), data, /*in_flight=*/64);
  const absl::StatusOr<double> share = Goodput(settings, "overload_64KB", load, report);
  if (!share.ok()) return share.status();
  report.Absolute("overload_64KB.share_of_peak", *share);
  return absl::OkStatus();
}

}  // namespace larder::bench
