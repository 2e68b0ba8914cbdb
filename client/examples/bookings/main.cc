// Runs the booking API with and without the cache, and says what the cache is good for. README.md beside this folder's
// says how to read the code.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "client/examples/bookings/cached_bookings.h"
#include "client/examples/bookings/checked_bookings.h"
#include "client/examples/bookings/comparison.h"
#include "client/examples/bookings/database.h"
#include "client/examples/bookings/generator.h"
#include "client/examples/bookings/next_reads.h"
#include "client/examples/bookings/schema.h"
#include "client/examples/bookings/sql_bookings.h"
#include "client/examples/bookings/workload.h"
#include "larder/client.h"
#include "larder/observer.h"

namespace bookings {
namespace {

constexpr int kNextReadRounds = 40;
// Of settings and of a service; the origin runs them in a process of its own.
constexpr int64_t kQueriesOfOriginLoad = 2;

struct Options {
  std::string server = "127.0.0.1:50051";
  bool no_cache = false;
  bool is_short = false;
  int64_t rows = 3000000;
  int64_t operations = 40000;
  int threads = 4;
  uint64_t seed = 1;
  size_t near_mib = 0;
  std::string generate;
  std::string database;
  std::string origin_namespace;
  std::optional<Endpoint> forgotten;
  double require_speed_up = 0;
  double require_saved = 0;
  std::string json;
};

// The exit code if there is nothing to run.
std::optional<int> Parse(int argc, char** argv, Options& options) {
  CLI::App app("A booking API on SQLite, with and without Larder before it", "bookings");
  app.add_option("--server", options.server, "Where Larder is")->capture_default_str();
  app.add_flag("--no-cache", options.no_cache, "Run without the cache only");
  app.add_flag("--short", options.is_short, "50,000 rows and 8,000 operations, unless said otherwise");
  CLI::Option* rows = app.add_option("--rows", options.rows, "About how many to generate")->capture_default_str();
  CLI::Option* operations = app.add_option("--operations", options.operations, "Of the mix")->capture_default_str();
  app.add_option("--threads", options.threads)->capture_default_str()->check(CLI::Range(1, 64));
  app.add_option("--seed", options.seed)->capture_default_str();
  app.add_option("--near-mib", options.near_mib, "Of a near cache in this process; 0: none")->capture_default_str();
  app.add_option("--generate", options.generate, "Make the database there, and nothing else");
  CLI::Option* database = app.add_option("--database", options.database, "One made so, that the cached run changes")
                              ->check(CLI::ExistingFile);
  app.add_option("--origin-namespace", options.origin_namespace,
                 "Of Larder, whose origin reads that database: for the settings and services")
      ->needs(database);
  // No write changes the settings, which are the first.
  std::map<std::string, Endpoint> names;
  for (size_t i = 1; i < kReadEndpoints; ++i) names[std::string(kEndpointNames[i])] = static_cast<Endpoint>(i);
  Endpoint forgotten = Endpoint::kSettings;
  CLI::Option* broken = app.add_option("--break-invalidation", forgotten, "Leave one out; the checker must find it")
                            ->transform(CLI::CheckedTransformer(names));
  app.add_option("--require-speed-up", options.require_speed_up, "Of dashboard and report at p50, or fail");
  app.add_option("--require-saved", options.require_saved, "Percent of the queries, or fail");
  app.add_option("--json", options.json, "Also write the figures to this file");
  rows->check(CLI::Range(int64_t{1000}, int64_t{100000000}));
  operations->check(CLI::PositiveNumber);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? EXIT_SUCCESS : 2;
  }
  if (broken->count() != 0) options.forgotten = forgotten;
  if (options.is_short && rows->count() == 0) options.rows = 50000;
  if (options.is_short && operations->count() == 0) options.operations = 8000;
  return std::nullopt;
}

// A folder that goes away with everything in it.
class TemporaryFolder {
 public:
  TemporaryFolder() : path_((std::filesystem::temp_directory_path() / "bookings-XXXXXX").string()) {
    if (mkdtemp(path_.data()) == nullptr) path_.clear();
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }

  std::string File(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// Prints the plan of every query. FAILED_PRECONDITION if one reads a whole table: then the comparison would be unfair.
absl::Status PrintPlans(Database& database) {
  absl::StatusOr<Database::Lease> lease = database.Connect();
  if (!lease.ok()) return lease.status();
  const absl::StatusOr<std::vector<QueryPlan>> plans = ExplainAll(**lease);
  if (!plans.ok()) return plans.status();
  std::printf("Query plans:\n");
  absl::Status status;
  for (const QueryPlan& plan : *plans) {
    std::printf("  %s\n", plan.name.c_str());
    for (const std::string& step : plan.steps) std::printf("      %s\n", step.c_str());
    if (plan.scans_a_table) status = absl::FailedPreconditionError("no index serves the query " + plan.name);
  }
  std::printf("\n");
  return status;
}

// FAILED_PRECONDITION as above, for whatever was run: the list behind the plans that are printed is kept by hand.
absl::Status CheckPlans(Database& database) {
  const std::set<std::string> statements = database.Statements();
  absl::StatusOr<Database::Lease> lease = database.Connect();
  if (!lease.ok()) return lease.status();
  for (const std::string& sql : statements) {
    if (sql.starts_with("EXPLAIN")) continue;
    const absl::StatusOr<QueryPlan> plan = Explain(**lease, sql, sql);
    if (!plan.ok()) return plan.status();
    if (plan->scans_a_table) return absl::FailedPreconditionError("no index serves the query " + sql);
  }
  return absl::OkStatus();
}

// Counts what the near cache in this process answered.
class NearHits final : public larder::Observer {
 public:
  void OnRead(const larder::ReadReport& report) override { count_ += report.near_hits; }
  int64_t count() const { return count_; }

 private:
  std::atomic<int64_t> count_{0};
};

Measured Measure(BookingService& service, const SqlBookings& database, const Population& population,
                 const Options& options) {
  Checker checker;
  CheckedBookings checked(&service, &checker);
  Measured measured;
  measured.workload = RunWorkload(checked, population, {options.operations, options.threads, options.seed});
  measured.queries = database.queries();
  measured.checks = checker.summary();
  return measured;
}

absl::Status RunWithCache(const std::string& path, const Options& options, Comparison& comparison) {
  NearHits near_hits;
  larder::ClientOptions client_options;
  client_options.target = options.server;
  client_options.observer = &near_hits;
  client_options.near.capacity_bytes = options.near_mib << 20;
  absl::StatusOr<std::unique_ptr<larder::Client>> client = larder::Client::Connect(std::move(client_options));
  if (!client.ok()) return client.status();
  if (absl::Status status = (*client)->WaitUntilReady(std::chrono::seconds(10)); !status.ok()) return status;

  Database database(path);
  SqlBookings sql(&database);
  // What an earlier run left in the cache is about another database.
  const std::string prefix = absl::StrFormat("bookings-%08x", std::random_device()());
  CachedBookings cached(
      client->get(), &sql,
      {.key_prefix = prefix, .origin_namespace = options.origin_namespace, .forgotten = options.forgotten});
  comparison.with_cache = Measure(cached, sql, comparison.population, options);
  comparison.cache = cached.counts();
  for (size_t i = 0; i < kEndpoints; ++i) {
    comparison.with_cache->queries[i] += kQueriesOfOriginLoad * comparison.cache.origin_loads[i];
  }
  comparison.near_hits = near_hits.count();
  comparison.next_reads = CheckNextReads(cached, sql, comparison.population, kNextReadRounds);
  return CheckPlans(database);
}

// Of a database that may have been in use: what was written to it last may be in its write-ahead log.
absl::Status Copy(const std::string& from, const std::string& to) {
  const absl::StatusOr<std::unique_ptr<Connection>> connection = Connection::Open(from);
  if (!connection.ok()) return connection.status();
  if (absl::Status status = (*connection)->Execute("PRAGMA wal_checkpoint(TRUNCATE)"); !status.ok()) return status;
  std::error_code error;
  if (!std::filesystem::copy_file(from, to, error)) return absl::InternalError("cannot copy: " + error.message());
  return absl::OkStatus();
}

absl::StatusOr<Comparison> Compare(const TemporaryFolder& folder, const Options& options) {
  Comparison comparison;
  comparison.threads = options.threads;
  comparison.cores = static_cast<int>(std::thread::hardware_concurrency());
  // Each run begins with the same rows.
  const std::string first = folder.File("without.sqlite");
  const std::string second = options.database.empty() ? folder.File("with.sqlite") : options.database;
  const auto start = std::chrono::steady_clock::now();
  const absl::StatusOr<Population> population =
      options.database.empty() ? Generate(second, options.rows, options.seed) : ReadPopulation(second);
  if (!population.ok()) return population.status();
  comparison.population = *population;
  if (absl::Status status = Copy(second, first); !status.ok()) return status;
  std::error_code error;
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  std::printf("%d threads on %d cores\n", comparison.threads, comparison.cores);
  std::printf("%d rows of %d locations, made ready in %.1f s, %d MiB\n\n", static_cast<int>(population->rows),
              static_cast<int>(population->locations), took.count(),
              static_cast<int>(std::filesystem::file_size(first, error) >> 20));

  Database database(first);
  if (absl::Status status = PrintPlans(database); !status.ok()) return status;
  SqlBookings sql(&database);
  comparison.without_cache = Measure(sql, sql, *population, options);
  if (absl::Status status = CheckPlans(database); !status.ok()) return status;
  if (!options.no_cache) {
    if (absl::Status status = RunWithCache(second, options, comparison); !status.ok()) return status;
  }
  return comparison;
}

// OK, or what was asked for and has not been reached.
absl::Status Judge(const Comparison& comparison, const Options& options) {
  if (!comparison.IsCorrect()) return absl::InternalError("the answers were not all right: see above");
  for (const Endpoint endpoint : {Endpoint::kDashboard, Endpoint::kReport}) {
    if (comparison.SpeedUp(endpoint) < options.require_speed_up) {
      return absl::FailedPreconditionError(absl::StrFormat("%s: a speed-up of %.1f, %.1f was asked for",
                                                           kEndpointNames[IndexOf(endpoint)],
                                                           comparison.SpeedUp(endpoint), options.require_speed_up));
    }
  }
  if (100 * comparison.QueriesSaved() < options.require_saved) {
    return absl::FailedPreconditionError(absl::StrFormat("%.1f%% of the queries saved, %.1f%% were asked for",
                                                         100 * comparison.QueriesSaved(), options.require_saved));
  }
  return absl::OkStatus();
}

absl::Status Run(const Options& options) {
  if (!options.generate.empty()) return Generate(options.generate, options.rows, options.seed).status();
  const TemporaryFolder folder;
  const absl::StatusOr<Comparison> comparison = Compare(folder, options);
  if (!comparison.ok()) return comparison.status();
  std::printf("%s", comparison->ToTable().c_str());
  if (!options.json.empty() && !(std::ofstream(options.json) << comparison->ToJson())) {
    return absl::InternalError("cannot write " + options.json);
  }
  return Judge(*comparison, options);
}

}  // namespace
}  // namespace bookings

int main(int argc, char** argv) {
  bookings::Options options;
  if (const std::optional<int> exit_code = bookings::Parse(argc, argv, options)) return *exit_code;
  const absl::Status status = bookings::Run(options);
  if (status.ok()) return EXIT_SUCCESS;
  std::fflush(stdout);
  std::fprintf(stderr, "bookings: %s\n", std::string(status.message()).c_str());
  return EXIT_FAILURE;
}
