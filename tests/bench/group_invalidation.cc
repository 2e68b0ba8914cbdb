// What a group invalidation costs where it concerns a million entries: the call itself, what is served afterwards, the
// sweep, Redis' memory, and the Gets of everybody else meanwhile. A real Redis, a real larderd. Ends with 1 if a bound
// is broken.
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/clock.h"
#include "larder/v1/cache.grpc.pb.h"
#include "tests/support/larder_server.h"
#include "tests/support/redis_server.h"

namespace larder {
namespace {

constexpr int kBatch = 500;
constexpr double kWindowSeconds = 2;
constexpr char kTag[] = "everything";
constexpr char kConfig[] = "near: {capacity_bytes: 64MiB}\nsweep: {interval: 500ms}\n";

struct Settings {
  int entries = 1'000'000;
  int others = 100'000;  // that the invalidation does not concern
  int value_bytes = 100;
  int threads = 8;
  int invalidations = 300;
  double baseline_seconds = 30;
};

struct Bounds {
  static constexpr double kInvalidateP99Millis = 5;
  static constexpr double kSweepSeconds = 120;
  static constexpr double kMemoryRatio = 1.10;
  static constexpr double kThroughputRatio = 0.90;
};

double SecondsSince(int64_t began) {
  return static_cast<double>(SystemClock().NowNanos() - began) / static_cast<double>(kNanosPerSecond);
}

class Run {
 public:
  Run(const Settings& settings, RedisServer& redis, LarderServer& larder)
      : settings_(settings),
        redis_(redis),
        larder_(larder),
        stub_(v1::Cache::NewStub(grpc::CreateChannel(larder.address(), grpc::InsecureChannelCredentials()))) {}

  bool All() {
    Load("other", settings_.others, "");
    const int64_t memory_before = UsedMemory();
    Load("entry", settings_.entries, kTag);
    const int64_t memory_loaded = UsedMemory();
    std::printf("memory: %ld bytes before, %ld with %d entries more\n", memory_before, memory_loaded,
                settings_.entries);
    Check(Hits() == settings_.entries, "every entry is found before the invalidation");

    // With the million still there, and once more when they are gone: what the machine gives changes meanwhile.
    std::vector<double> baseline = Baseline();
    Invalidate();
    const int64_t began = SystemClock().NowNanos();
    Check(Hits() == 0, "no entry is found after it");

    const std::vector<double> during = Throughput([this] { return SweepIsOver(); });
    const double took = SecondsSince(began);
    std::printf("sweep: %.1f s, %.0f removed\n", took, larder_.Metric("cache_swept_total", {"namespace=\"default\""}));
    Check(took <= Bounds::kSweepSeconds, "the sweep ends in time");
    const int64_t memory_after = UsedMemory();
    std::printf("memory: %ld bytes after\n", memory_after);
    Check(static_cast<double>(memory_after) <= static_cast<double>(memory_before) * Bounds::kMemoryRatio,
          "the memory is back within 10 % of before");
    for (double rate : Baseline()) baseline.push_back(rate);
    const double usual = Median(baseline);
    const double swept = Median(during);
    std::printf(
        "gets, median of %zu and %zu times %.0f s: %.0f/s before and after, %.0f/s during the sweep (%.1f %%)\n",
        baseline.size(), during.size(), kWindowSeconds, usual, swept, 100 * swept / usual);
    Check(!baseline.empty() && !during.empty(), "there was time to measure in");
    Check(swept >= usual * Bounds::kThroughputRatio, "Gets keep 90 % of their throughput");
    return ok_;
  }

 private:
  void Check(bool held, const char* what) {
    std::printf("%s: %s\n", held ? "ok" : "FAILED", what);
    std::fflush(stdout);
    ok_ = ok_ && held;
  }

  static std::string Key(const char* kind, int i) { return absl::StrCat(kind, ":", i); }

  void Load(const char* kind, int count, const std::string& tag) {
    const std::string value(static_cast<size_t>(settings_.value_bytes), 'v');
    for (int first = 0; first < count; first += kBatch) {
      v1::BatchSetRequest request;
      for (int i = first; i < std::min(count, first + kBatch); ++i) {
        v1::SetRequest& entry = *request.add_entries();
        entry.set_key(Key(kind, i));
        entry.set_value(value);
        entry.set_ttl_ms(3'600'000);
        if (!tag.empty()) entry.add_tags(tag);
      }
      v1::BatchSetResponse response;
      grpc::ClientContext context;
      const grpc::Status status = stub_->BatchSet(&context, request, &response);
      for (const v1::BatchSetResult& result : response.results()) failed_ += result.code() != 0 ? 1 : 0;
      if (!status.ok()) ++failed_;
    }
    Check(failed_ == 0, absl::StrCat("stored ", count, " ", kind, " entries").c_str());
  }

  int64_t Hits() {
    int64_t hits = 0;
    for (int first = 0; first < settings_.entries; first += kBatch) {
      v1::BatchGetRequest request;
      for (int i = first; i < std::min(settings_.entries, first + kBatch); ++i) request.add_keys(Key("entry", i));
      v1::BatchGetResponse response;
      grpc::ClientContext context;
      if (!stub_->BatchGet(&context, request, &response).ok()) return -1;
      for (const v1::GetResponse& result : response.results()) {
        if (result.status() == v1::STATUS_HIT) ++hits;
        if (result.status() != v1::STATUS_HIT && result.status() != v1::STATUS_MISS) return -1;
      }
    }
    return hits;
  }

  // The first one concerns all entries; the others are the same call again.
  void Invalidate() {
    const int64_t scripts_before = ScriptCalls();
    std::vector<int64_t> nanos;
    for (int i = 0; i < settings_.invalidations; ++i) {
      v1::InvalidateRequest request;
      request.add_tags(kTag);
      v1::InvalidateResponse response;
      grpc::ClientContext context;
      const int64_t began = SystemClock().NowNanos();
      if (!stub_->Invalidate(&context, request, &response).ok()) Check(false, "Invalidate is acknowledged");
      nanos.push_back(SystemClock().NowNanos() - began);
    }
    const double first = static_cast<double>(nanos.front()) / kNanosPerMilli;
    std::sort(nanos.begin(), nanos.end());
    const double p50 = static_cast<double>(nanos[nanos.size() / 2]) / kNanosPerMilli;
    const double p99 = static_cast<double>(nanos[nanos.size() * 99 / 100]) / kNanosPerMilli;
    const double scripts = static_cast<double>(ScriptCalls() - scripts_before) / settings_.invalidations;
    std::printf("invalidate: first %.2f ms, p50 %.2f ms, p99 %.2f ms, %.2f scripts each\n", first, p50, p99, scripts);
    Check(p99 <= Bounds::kInvalidateP99Millis, "p99 of the invalidation");
    Check(scripts < 1.2, "one round trip each");
  }

  std::vector<double> Baseline() {
    return Throughput(
        [this, began = SystemClock().NowNanos()] { return SecondsSince(began) >= settings_.baseline_seconds; });
  }

  // How many single Gets of the entries that stay were answered a second, to several threads, in each stretch of time
  // until `over`.
  std::vector<double> Throughput(const std::function<bool()>& over) {
    std::atomic<bool> stop{false};
    std::atomic<int64_t> gets{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < settings_.threads; ++t) {
      threads.emplace_back([this, t, &stop, &gets] {
        uint64_t at = static_cast<uint64_t>(t) * 7919;
        while (!stop.load(std::memory_order_relaxed)) {
          v1::GetRequest request;
          at = at * 6364136223846793005U + 1442695040888963407U;
          request.set_key(Key("other", static_cast<int>((at >> 33) % static_cast<uint64_t>(settings_.others))));
          v1::GetResponse response;
          grpc::ClientContext context;
          if (!stub_->Get(&context, request, &response).ok() || response.status() != v1::STATUS_HIT) ++failed_;
          gets.fetch_add(1, std::memory_order_relaxed);
        }
      });
    }
    std::vector<double> rates;
    int64_t window_began = SystemClock().NowNanos();
    int64_t counted = 0;
    while (!over()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      const double seconds = SecondsSince(window_began);
      if (seconds < kWindowSeconds) continue;
      window_began = SystemClock().NowNanos();
      rates.push_back(static_cast<double>(gets.load() - counted) / seconds);
      counted = gets.load();
    }
    stop = true;
    for (std::thread& thread : threads) thread.join();
    Check(failed_ == 0, "every Get of the others was a hit");
    return rates;
  }

  static double Median(std::vector<double> rates) {
    if (rates.empty()) return 0;
    std::sort(rates.begin(), rates.end());
    return rates[rates.size() / 2];
  }

  bool SweepIsOver() {
    return larder_.Metric("cache_swept_total", {"namespace=\"default\""}) >= settings_.entries &&
           larder_.Metric("cache_sweep_running", {"namespace=\"default\""}) == 0;
  }

  int64_t Info(const char* section, const std::string& field) {
    const std::string info = redis_.Command({"INFO", section}).value_or("");
    const size_t at = info.find(field);
    int64_t number = 0;
    if (at == std::string::npos) return 0;
    const size_t from = at + field.size();
    static_cast<void>(absl::SimpleAtoi(info.substr(from, info.find_first_of(",\r", from) - from), &number));
    return number;
  }
  int64_t UsedMemory() { return Info("memory", "used_memory:"); }
  int64_t ScriptCalls() { return Info("commandstats", "cmdstat_evalsha:calls="); }

  const Settings settings_;
  RedisServer& redis_;
  LarderServer& larder_;
  const std::unique_ptr<v1::Cache::Stub> stub_;
  std::atomic<int64_t> failed_{0};
  bool ok_ = true;
};

int Main(int argc, char** argv) {
  Settings settings;
  CLI::App app("Measures an invalidation of a tag that a million entries have.");
  app.add_option("--entries", settings.entries, "Entries with the tag");
  app.add_option("--others", settings.others, "Entries without it, which are read meanwhile");
  app.add_option("--value-bytes", settings.value_bytes, "Bytes of each value");
  app.add_option("--threads", settings.threads, "Threads that read");
  app.add_option("--invalidations", settings.invalidations, "Calls whose times are taken");
  app.add_option("--baseline-seconds", settings.baseline_seconds, "How long to read before and after the sweep");
  CLI11_PARSE(app, argc, argv);
  absl::StatusOr<std::unique_ptr<RedisServer>> redis = RedisServer::Start();
  if (!redis.ok()) return std::fprintf(stderr, "%s\n", redis.status().ToString().c_str()), 2;
  absl::StatusOr<std::unique_ptr<LarderServer>> larder =
      LarderServer::Start({.config = kConfig, .environment = {absl::StrCat("REDIS_URL=", (*redis)->url())}});
  if (!larder.ok()) return std::fprintf(stderr, "%s\n", larder.status().ToString().c_str()), 2;
  return Run(settings, **redis, **larder).All() ? 0 : 1;
}

}  // namespace
}  // namespace larder

int main(int argc, char** argv) { return larder::Main(argc, argv); }
