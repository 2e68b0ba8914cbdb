// Measures the client library against a real larderd: its near cache beside a bare hash table, and gathered Gets beside
// Gets that go alone. Both sides of each take turns, and every value is looked at. Ends with 1 if one is wrong.
#include "tests/bench/client_bench.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"

namespace larder::bench {
namespace {

constexpr size_t kValueBytes = 100;
constexpr size_t kBatch = 1000;

struct Measurement {
  std::string name;
  std::string what;
  std::function<Outcome(const Settings&, const Entries&, const LarderServer&)> run;
};

Measurement Near(std::string name, std::string what, double skew, int threads) {
  return {std::move(name), std::move(what),
          [=](const Settings& settings, const Entries& entries, const LarderServer& server) {
            return MeasureNear(settings, entries, server, skew, threads);
          }};
}

Measurement Gathering(std::string name, std::string what, Callers callers) {
  return {std::move(name), std::move(what),
          [=](const Settings& settings, const Entries& entries, const LarderServer& server) {
            return MeasureGathering(settings, entries, server, callers);
          }};
}

std::vector<Measurement> All() {
  return {
      Near("client_near_vs_map", "a near hit / a find, Zipf 0.99, one thread", 0.99, 1),
      Near("client_near_vs_map_2_threads", "the same on two threads", 0.99, 2),
      Near("client_near_vs_map_uniform", "the same, all keys alike, one thread", 0, 1),
      Near("client_near_vs_map_uniform_2_threads", "the same on two threads", 0, 2),
      Gathering("client_auto_batch_vs_unary", "gathered / alone, chains of GetAsync", Callers::kChains),
      Gathering("client_auto_batch_vs_unary_threads", "the same, a thread for each Get", Callers::kThreads),
  };
}

struct Flags {
  std::string json;
  std::string only;
  bool list = false;
  Settings settings;
};

void Report(const std::string& name, const Outcome& outcome, nlohmann::json* out) {
  std::printf("%-38s %6.2f  ", name.c_str(), outcome.ratio);
  (*out)["ratios"][name] = outcome.ratio;
  for (const auto& [what, number] : outcome.absolute) {
    std::printf("  %s %.5g", what.c_str(), number);
    (*out)["absolute"][absl::StrCat(name, ".", what)] = number;
  }
  std::printf("\n");
  std::fflush(stdout);
}

int Run(const Flags& flags, const std::vector<Measurement>& chosen) {
  absl::StatusOr<std::unique_ptr<LarderServer>> server = LarderServer::Start();
  if (!server.ok()) Die(server.status().ToString());
  const Entries entries(flags.settings.keys);
  entries.StoreIn(ConnectOrDie(**server).get());
  nlohmann::json out = {{"ratios", nlohmann::json::object()},
                        {"absolute", nlohmann::json::object()},
                        {"machine", {{"processors", std::thread::hardware_concurrency()}}}};
  for (const Measurement& measurement : chosen) {
    Report(measurement.name, measurement.run(flags.settings, entries, **server), &out);
  }
  if (flags.json.empty()) return 0;
  std::ofstream file(flags.json);
  file << out.dump(2) << "\n";
  file.close();
  if (!file) Die(absl::StrCat("--json: cannot write ", flags.json));
  return 0;
}

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app("Measures the client library against a real larderd, whose program LARDERD names.");
  app.add_option("--json", flags.json, "writes the figures to this file");
  app.add_option("--only", flags.only, "makes one measurement");
  app.add_flag("--list", flags.list, "says which measurements there are");
  app.add_option("--keys", flags.settings.keys, "that are read")->check(CLI::Range(1'000, 10'000'000));
  app.add_option("--laps", flags.settings.laps, "of each side")->check(CLI::Range(1, 1'000));
  app.add_option("--lap-millis", flags.settings.lap_millis, "of the service's laps")->check(CLI::Range(10, 60'000));
  app.add_option("--near-gets", flags.settings.near_gets, "a near cache's lap")->check(CLI::Range(1'000, 100'000'000));
  app.add_option("--concurrent", flags.settings.concurrent_gets, "Gets under way")->check(CLI::Range(1, 10'000));
  CLI11_PARSE(app, argc, argv);

  std::vector<Measurement> chosen = All();
  if (flags.list) {
    for (const Measurement& each : chosen) std::printf("%-38s %s\n", each.name.c_str(), each.what.c_str());
    return 0;
  }
  if (!flags.only.empty()) {
    std::erase_if(chosen, [&](const Measurement& each) { return each.name != flags.only; });
    if (chosen.empty()) Die(absl::StrCat("--only: there is no \"", flags.only, "\"; see --list"));
  }
  return Run(flags, chosen);
}

}  // namespace

Entries::Entries(int count) {
  for (int i = 0; i < count; ++i) {
    keys_.push_back(absl::StrCat("user:", i, ":profile"));
    values_.emplace_back(kValueBytes, static_cast<char>('a' + i % 26));
    std::memcpy(values_.back().data(), &i, sizeof(i));
  }
}

void Entries::StoreIn(Client* client) const {
  for (size_t at = 0; at < keys_.size(); at += kBatch) {
    std::vector<SetItem> items;
    for (size_t i = at; i < std::min(at + kBatch, keys_.size()); ++i) {
      items.push_back({.key = keys_[i], .value = values_[i], .ttl = std::chrono::hours(1)});
    }
    const absl::StatusOr<BatchSetResults> results = client->BatchSet(std::move(items));
    if (!results.ok()) Die(results.status().ToString());
    for (const absl::StatusOr<SetResult>& result : *results) {
      if (!result.ok()) Die(result.status().ToString());
    }
  }
}

bool Entries::IsValueOf(size_t i, std::string_view value) const {
  int stored = 0;
  if (value.size() != kValueBytes) return false;
  std::memcpy(&stored, value.data(), sizeof(stored));
  return static_cast<size_t>(stored) == i;
}

void Die(const std::string& why) {
  std::fprintf(stderr, "client_bench: %s\n", why.c_str());
  std::exit(1);
}

double Median(std::vector<double> numbers) {
  std::sort(numbers.begin(), numbers.end());
  return numbers[numbers.size() / 2];
}

std::unique_ptr<Client> ConnectOrDie(const LarderServer& server, ClientOptions options) {
  options.target = server.address();
  options.deadline = std::chrono::seconds(30);
  absl::StatusOr<std::unique_ptr<Client>> client = Client::Connect(std::move(options));
  if (!client.ok()) Die(client.status().ToString());
  if (absl::Status ready = (*client)->WaitUntilReady(std::chrono::seconds(10)); !ready.ok()) Die(ready.ToString());
  return *std::move(client);
}

}  // namespace larder::bench

int main(int argc, char** argv) { return larder::bench::Main(argc, argv); }
