// How long a near entry outlives a write by somebody else, beside how long Redis takes for a PING at the same time. A
// real Redis, two real larderd, load on both. Ends with 1 if the bound is broken.
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "core/clock.h"
#include "larder/v1/cache.grpc.pb.h"
#include "tests/bench/redis_line.h"
#include "tests/support/eventually.h"
#include "tests/support/larder_server.h"
#include "tests/support/redis_server.h"

namespace larder {
namespace {

constexpr char kConfig[] = "near: {coherence: tracking}\n";
constexpr double kBound = 3;  // times a PING

struct Settings {
  int writes = 2'000;
  int keys = 1'000;
  int threads = 2;  // of load
};

int64_t Now() { return SystemClock().NowNanos(); }

double Quantile(std::vector<int64_t> nanos, double share) {
  if (nanos.empty()) return 0;
  std::sort(nanos.begin(), nanos.end());
  const auto at = static_cast<size_t>(share * static_cast<double>(nanos.size() - 1));
  return static_cast<double>(nanos[at]) / 1e3;
}

void Print(const char* what, const std::vector<int64_t>& nanos) {
  std::printf("%-28s %6zu times, p50 %7.0f us, p99 %7.0f us, p99.9 %7.0f us\n", what, nanos.size(),
              Quantile(nanos, 0.5), Quantile(nanos, 0.99), Quantile(nanos, 0.999));
}

class Caller {
 public:
  explicit Caller(const LarderServer& server) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    stub_ =
        v1::Cache::NewStub(grpc::CreateCustomChannel(server.address(), grpc::InsecureChannelCredentials(), arguments));
  }

  v1::GetResponse Get(const std::string& key) {
    v1::GetRequest request;
    request.set_key(key);
    v1::GetResponse answer;
    grpc::ClientContext context;
    failed_ = failed_ || !stub_->Get(&context, request, &answer).ok();
    return answer;
  }

  void Set(const std::string& key, const std::string& value) {
    v1::SetRequest request;
    request.set_key(key);
    request.set_value(value);
    request.set_ttl_ms(3'600'000);
    v1::SetResponse answer;
    grpc::ClientContext context;
    failed_ = failed_ || !stub_->Set(&context, request, &answer).ok();
  }

  bool failed() const { return failed_; }

 private:
  std::unique_ptr<v1::Cache::Stub> stub_;
  bool failed_ = false;
};

std::string Key(int i) { return absl::StrCat("key", i); }

// From the acknowledgement of each write to the beginning of the first Get that found the old entry gone.
class Run {
 public:
  Run(const Settings& settings, RedisServer& redis, LarderServer& reader, LarderServer& writer)
      : settings_(settings), redis_(redis), reader_(reader), writer_(writer) {}

  bool All() {
    Caller reader(reader_), writer(writer_);
    for (int i = 0; i < settings_.keys; ++i) writer.Set(Key(i), "loaded");
    StartLoad();
    const std::vector<int64_t> peer = Measure(reader, [&](const std::string& key) { writer.Set(key, "peer's"); });
    RedisLine line(redis_.port());
    const std::vector<int64_t> foreign = Measure(reader, [&](const std::string& key) {
      line.Run({"SET", "larder:default:e:" + key, "foreign", "PX", "1"});
    });
    StopLoad();
    Print("PING of Redis", pings_);
    Print("near entry after a peer's Set", peer);
    Print("near entry after a foreign SET", foreign);
    const double bound = kBound * Quantile(pings_, 0.99);
    const bool held = std::max(Quantile(peer, 0.99), Quantile(foreign, 0.99)) <= bound;
    std::printf("%s: gone within %.0f times a PING (p99 %.0f us)\n", held ? "ok" : "FAILED", kBound, bound);
    const bool made = !reader.failed() && !writer.failed() && line.ok() && !load_failed_;
    if (!made) std::printf("FAILED: a call ended with an error\n");
    return held && made;
  }

 private:
  template <typename Write>
  std::vector<int64_t> Measure(Caller& reader, Write write) {
    std::vector<int64_t> lags;
    for (int i = 0; i < settings_.writes; ++i) {
      const std::string key = Key(i % settings_.keys);
      v1::GetResponse before;
      const int64_t patience = Now() + 10 * kNanosPerSecond;
      while ((before = reader.Get(key)).tier() != v1::TIER_NEAR && Now() < patience) {
        // A foreign entry is a miss until it is replaced.
        if (before.status() == v1::STATUS_MISS) Caller(writer_).Set(key, "again");
      }
      write(key);
      const int64_t acknowledged = Now();
      int64_t gone = acknowledged;
      while (before.tier() == v1::TIER_NEAR && Now() < patience) {
        gone = Now();
        const v1::GetResponse answer = reader.Get(key);
        if (answer.tier() != v1::TIER_NEAR || answer.version() != before.version()) break;
      }
      // Nothing was measured, or it has not gone.
      if (before.tier() != v1::TIER_NEAR || Now() >= patience) load_failed_ = true;
      lags.push_back(gone - acknowledged);
    }
    return lags;
  }

  void StartLoad() {
    for (int i = 0; i < settings_.threads; ++i) {
      threads_.emplace_back([this, i] {
        Caller caller(i % 2 == 0 ? reader_ : writer_);
        for (int n = i; !stopping_; n += 7) caller.Get(Key(n % settings_.keys));
        if (caller.failed()) load_failed_ = true;
      });
    }
    threads_.emplace_back([this] {
      RedisLine line(redis_.port());
      while (!stopping_) {
        const int64_t began = Now();
        line.Run({"PING"});
        pings_.push_back(Now() - began);
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
      if (!line.ok()) load_failed_ = true;
    });
  }

  void StopLoad() {
    stopping_ = true;
    threads_.clear();
  }

  const Settings settings_;
  RedisServer& redis_;
  LarderServer& reader_;
  LarderServer& writer_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> load_failed_{false};
  std::vector<int64_t> pings_;  // its thread's, until it has ended
  std::vector<std::jthread> threads_;
};

bool Tracks(const LarderServer& server) { return server.Metric("cache_coherence_mode", {"mode=\"tracking\""}) == 1; }

int Main(int argc, char** argv) {
  Settings settings;
  CLI::App app("Measures how long near entries outlive other people's writes.");
  app.add_option("--writes", settings.writes, "of each kind")->check(CLI::Range(100, 1'000'000));
  app.add_option("--keys", settings.keys, "that are written in turn")->check(CLI::Range(1, 100'000));
  app.add_option("--threads", settings.threads, "that load both servers meanwhile")->check(CLI::Range(0, 64));
  CLI11_PARSE(app, argc, argv);

  auto redis = RedisServer::Start();
  if (!redis.ok()) {
    std::fprintf(stderr, "%s\n", redis.status().ToString().c_str());
    return 1;
  }
  std::vector<std::unique_ptr<LarderServer>> servers;
  for (int i = 0; i < 2; ++i) {
    auto server = LarderServer::Start({.config = kConfig, .environment = {"REDIS_URL=" + (*redis)->url()}});
    if (!server.ok()) {
      std::fprintf(stderr, "%s\n", server.status().ToString().c_str());
      return 1;
    }
    servers.push_back(*std::move(server));
    if (!Eventually([&] { return Tracks(*servers.back()); })) {
      std::fprintf(stderr, "larderd hears of no changes\n");
      return 1;
    }
  }
  return Run(settings, **redis, *servers[0], *servers[1]).All() ? 0 : 1;
}

}  // namespace
}  // namespace larder

int main(int argc, char** argv) { return larder::Main(argc, argv); }
