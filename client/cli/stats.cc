#include <google/protobuf/util/json_util.h>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/command.h"
#include "client/cli/text.h"

namespace larder {
namespace {

uint64_t Count(int64_t number) { return static_cast<uint64_t>(number); }

void WriteRow(const std::string& name, const v1::CacheStats& stats, Output& output) {
  const std::string near = absl::StrCat(HumanBytes(static_cast<double>(stats.near_bytes())), " of ",
                                        HumanBytes(static_cast<double>(stats.near_capacity_bytes())));
  output.Line(absl::StrFormat("%-20s %7.2f%% %13s %13s %13s %13s %12s  %s", name, stats.hit_ratio() * 100,
                              WithCommas(Count(stats.near_hits())), WithCommas(Count(stats.store_hits())),
                              WithCommas(Count(stats.misses())), WithCommas(Count(stats.sets())),
                              WithCommas(Count(stats.near_entries())), near));
}

void WriteLatency(const std::string& name, const v1::Latency& latency, Output& output) {
  output.Line(absl::StrFormat("%-20s %12s %12s %12s %12s %14s", name, HumanMicros(latency.p50_us()),
                              HumanMicros(latency.p90_us()), HumanMicros(latency.p99_us()),
                              HumanMicros(latency.p999_us()), WithCommas(Count(latency.count()))));
}

void WriteEvents(const v1::CacheStats& total, Output& output) {
  const v1::NearEvictions& evictions = total.near_evictions();
  output.Line(absl::StrCat("near evictions: ", evictions.capacity(), " for room, ", evictions.expired(), " expired, ",
                           evictions.invalidated(), " overwritten or invalidated, ", evictions.aged(), " aged, ",
                           evictions.oversized(), " never in: too large"));
  output.Line(absl::StrCat("invalidations:  ", total.invalidated_keys(), " keys, ", total.invalidated_all(),
                           " whole namespaces; touches: ", total.touches()));
  output.Line(absl::StrCat("not done:       ", total.refused(), " refused, ", total.sets_aborted(), " sets aborted, ",
                           total.get_errors(), " get errors, ", total.set_errors(), " set errors"));
}

void WriteStore(const v1::StoreStats& store, Output& output) {
  const std::string limit =
      store.max_memory_bytes() == 0 ? "no limit" : HumanBytes(static_cast<double>(store.max_memory_bytes()));
  output.Line(absl::StrCat(
      "store:          ", store.kind(), store.redis_version().empty() ? "" : absl::StrCat(" ", store.redis_version()),
      ", ", store.state(), store.detail().empty() ? "" : absl::StrCat(" (", store.detail(), ")"), ", round trip ",
      HumanMicros(store.round_trip_us()), ", near tiers ", store.coherence_mode(),
      store.members() == 0 ? "" : absl::StrCat(", ", store.members(), store.members() == 1 ? " member" : " members")));
  output.Line(absl::StrCat("                ", WithCommas(Count(store.keys())), " keys, ",
                           HumanBytes(static_cast<double>(store.used_memory_bytes())), " of ", limit, ", eviction ",
                           store.eviction_policy(), " (", WithCommas(Count(store.evictions())), " so far), ",
                           store.disconnects(), " disconnects, ", store.unreadable_entries(), " unreadable"));
  if (!store.address().empty()) output.Line(absl::StrCat("                at ", store.address()));
  for (const std::string& sentence : store.advice()) output.Line(absl::StrCat("                note: ", sentence));
}

void WriteForPeople(const v1::StatsResponse& stats, Output& output) {
  output.Line(absl::StrCat("larderd ", stats.server_version(), ", up ", HumanMillis(stats.uptime_ms())));
  output.Line("");
  output.Line(absl::StrFormat("%-20s %8s %13s %13s %13s %13s %12s  %s", "namespace", "hits", "near hits", "store hits",
                              "misses", "sets", "near entries", "near bytes"));
  for (const v1::CacheStats& one : stats.namespaces()) WriteRow(one.name(), one, output);
  WriteRow("(all)", stats.total(), output);
  output.Line("");
  output.Line(absl::StrFormat("%-20s %12s %12s %12s %12s %14s", "latency", "p50", "p90", "p99", "p99.9", "count"));
  WriteLatency("near hit", stats.total().near_hit_latency(), output);
  WriteLatency("store hit", stats.total().store_hit_latency(), output);
  WriteLatency("miss", stats.total().miss_latency(), output);
  WriteLatency("set", stats.total().set_latency(), output);
  output.Line("");
  WriteEvents(stats.total(), output);
  WriteStore(stats.store(), output);
}

ExitCode WriteJson(const v1::StatsResponse& stats, Output& output) {
  google::protobuf::util::JsonPrintOptions options;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string text;
  if (!google::protobuf::util::MessageToJsonString(stats, &text, options).ok()) {
    return output.Fail({grpc::StatusCode::INTERNAL, "the server's answer cannot be written as JSON"});
  }
  output.Line(text);
  return ExitCode::kOk;
}

ExitCode RunStats(const Connection& connection, Output& output) {
  v1::StatsRequest request;
  if (!connection.name_space().empty()) request.add_namespaces(connection.name_space());
  v1::StatsResponse response;
  grpc::ClientContext context;
  connection.SetDeadline(&context);
  const grpc::Status status = connection.cache().Stats(&context, request, &response);
  if (!status.ok()) return output.Fail(status);
  if (output.json()) return WriteJson(response, output);
  WriteForPeople(response, output);
  return ExitCode::kOk;
}

}  // namespace

void AddStats(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("stats", "Show counts and latencies of the server, and its store");
  command->footer(
      "All namespaces, or the one of --namespace. With --json the answer in protobuf's JSON form, in which\n"
      "64-bit numbers are strings.");
  command->callback([&action] { action = RunStats; });
}

}  // namespace larder
