#include "tests/chaos/workload.h"

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <limits>
#include <random>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/clock.h"
#include "larder/v1/cache.grpc.pb.h"

namespace larder::chaos {
namespace {

using Random = std::mt19937_64;

constexpr int kThreadsPerReplica = 3;
constexpr auto kDeadline = std::chrono::milliseconds(400);
constexpr auto kStrongDeadline = std::chrono::milliseconds(2'500);  // a replica that is silent is waited for
constexpr auto kWarmDeadline = std::chrono::seconds(5);
constexpr int64_t kTtlMillis = 120'000;  // longer than any run
constexpr int kTags = 6;
constexpr int kPatterns = 5;
constexpr int kBusyKeys = 12;
constexpr int kHotKeys = 4;
constexpr double kStrongShare = 0.3;  // of Sets and Invalidates
constexpr size_t kPadding = 64;

int64_t Now() { return SystemClock().NowNanos(); }

int Below(Random& random, int bound) { return std::uniform_int_distribution<int>(0, bound - 1)(random); }

bool Chance(Random& random, double share) { return std::uniform_real_distribution<double>(0, 1)(random) < share; }

void SleepMillis(int millis) { std::this_thread::sleep_for(std::chrono::milliseconds(millis)); }

std::string KeyName(int key) { return absl::StrCat("g", key % kPatterns, ":k", key); }
std::string TagOf(int key) { return absl::StrCat("t", key % kTags); }

std::string ValueText(int key, uint64_t value) {
  return absl::StrCat(key, ":", value, ":", std::string(kPadding, 'v'));
}

constexpr uint64_t kNobodys = std::numeric_limits<uint64_t>::max();

// The value that a Get was answered with. One that is not of this key, or damaged, is none that was ever written.
uint64_t ParseValue(int key, const std::string& text) {
  const std::vector<std::string> parts = absl::StrSplit(text, ':');
  uint64_t value = 0;
  const bool whole = parts.size() == 3 && parts[0] == absl::StrCat(key) && absl::SimpleAtoi(parts[1], &value) &&
                     parts[2] == std::string(kPadding, 'v');
  return whole && value != 0 ? value : kNobodys;
}

// COHERENCE P4.
Outcome OutcomeOf(const grpc::Status& status) {
  if (status.ok()) return Outcome::kDone;
  if (status.error_code() == grpc::StatusCode::INVALID_ARGUMENT) std::abort();  // the workload is wrong
  return status.error_code() == grpc::StatusCode::ABORTED ? Outcome::kRefused : Outcome::kUnknown;
}

}  // namespace

// One thread's.
struct Workload::Client {
  Client(Workload* of, int at, uint64_t seed) : workload(of), replica(at), random(seed) {}

  uint64_t NextValue() { return workload->last_value_.fetch_add(1) + 1; }
  bool stopping() const { return workload->stopping_; }

  void Connect() {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 20);
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 100);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 100);
    stub = v1::Cache::NewStub(
        grpc::CreateCustomChannel(absl::StrCat("127.0.0.1:", workload->fleet_->call_link(replica).port()),
                                  grpc::InsecureChannelCredentials(), arguments));
  }

  void RunCalls() {
    Connect();
    while (!stopping()) {
      const double dice = std::uniform_real_distribution<double>(0, 100)(random);
      if (dice < 1.2) {
        Set(WrittenKey());
      } else if (dice < 1.7) {
        InvalidateKey(WrittenKey(), /*soft=*/false);
      } else if (dice < 1.8) {
        InvalidateKey(Below(random, kSoftKeys), /*soft=*/true);
      } else if (dice < 1.9) {
        InvalidateGroup();
      } else if (dice < 7) {
        BatchGet();
      } else {
        Get(ReadKey());
      }
    }
  }

  // Most writes are of a few keys. What is old of the others stays so for long enough to be seen.
  int WrittenKey() { return Below(random, Chance(random, 0.7) ? kBusyKeys : kKeys - kWarmedKeys); }

  // Some are read so often that callers meet in the same read of the store.
  int ReadKey() { return Below(random, Chance(random, 0.4) ? kHotKeys : kKeys); }

  // --- Reads ---

  void Note(const v1::GetResponse& answer, Operation read) {
    const bool failed = answer.status() == v1::STATUS_RETRY || answer.status() == v1::STATUS_UNAVAILABLE;
    read.outcome = failed ? Outcome::kUnknown : Outcome::kDone;
    // Nobody has written that there is none.
    if (answer.status() != v1::STATUS_MISS) read.value = kNobodys;
    if (answer.status() == v1::STATUS_HIT) {
      read.value = ParseValue(read.key, answer.value());
      read.stale = answer.freshness() == v1::FRESHNESS_STALE;
      read.degraded = answer.degraded();
      read.near = answer.tier() == v1::TIER_NEAR;
    }
    history.push_back(read);
  }

  void Get(int key) {
    v1::GetRequest request;
    request.set_key(KeyName(key));
    // What is missing of the warmed keys is left to warm-ups.
    request.set_want_lease(key < kKeys - kWarmedKeys && Chance(random, 0.8));
    if (Chance(random, 0.1)) request.set_wait_ms(20);
    const bool from_store = Chance(random, 0.03);
    if (from_store) request.set_read_from(v1::READ_FROM_STORE);
    const bool fresh_only = Chance(random, 0.03);
    request.set_fresh_only(fresh_only);
    v1::GetResponse answer;
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kDeadline);
    Operation read{
        .key = key, .replica = replica, .invoked = Now(), .from_store = from_store, .fresh_only = fresh_only};
    const grpc::Status status = stub->Get(&context, request, &answer);
    read.returned = Now();
    if (!status.ok()) return Failed(read);
    Note(answer, read);
    const std::string token = answer.has_lease() ? answer.lease().token() : answer.as_of();
    if (!token.empty() && key < kKeys - kWarmedKeys) Fill(key, token);
  }

  void BatchGet() {
    v1::BatchGetRequest request;
    std::vector<int> keys;
    for (int i = 0; i < 6; ++i) {
      keys.push_back(Below(random, kKeys));
      request.add_keys(KeyName(keys.back()));
    }
    v1::BatchGetResponse answer;
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kDeadline);
    Operation read{.replica = replica, .invoked = Now()};
    const grpc::Status status = stub->BatchGet(&context, request, &answer);
    read.returned = Now();
    if (!status.ok()) return Failed(read);
    const auto answered = static_cast<size_t>(answer.results_size());
    for (size_t i = 0; i < keys.size(); ++i) {
      read.key = keys[i];
      Note(i < answered ? answer.results(static_cast<int>(i)) : v1::GetResponse(), read);
    }
  }

  void Failed(Operation read) {
    read.outcome = Outcome::kUnknown;
    history.push_back(read);
    SleepMillis(1);  // a replica that is away refuses at once
  }

  // --- Writes ---

  // Loads a value, which takes its time, and stores it.
  void Fill(int key, const std::string& token) {
    const int64_t loaded = Now();
    const uint64_t value = NextValue();
    if (Chance(random, 0.2)) SleepMillis(Below(random, Chance(random, 0.1) ? 200 : 5));
    v1::SetRequest request;
    request.set_lease(token);
    Write(key, value, std::move(request), {.kind = OperationKind::kFill, .loaded = loaded});
  }

  void Set(int key) {
    v1::SetRequest request;
    const bool strong = Chance(random, kStrongShare);
    if (strong) request.set_consistency(v1::CONSISTENCY_STRONG);
    Write(key, NextValue(), std::move(request), {.kind = OperationKind::kSet, .strong = strong});
  }

  void Write(int key, uint64_t value, v1::SetRequest request, Operation write) {
    request.set_key(KeyName(key));
    request.set_value(ValueText(key, value));
    request.set_ttl_ms(kTtlMillis);
    request.add_tags(TagOf(key));
    v1::SetResponse answer;
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + (write.strong ? kStrongDeadline : kDeadline));
    write.key = key;
    write.replica = replica;
    write.value = value;
    write.invoked = Now();
    write.outcome = OutcomeOf(stub->Set(&context, request, &answer));
    if (answer.degraded()) write.outcome = Outcome::kUnknown;
    write.returned = Now();
    history.push_back(write);
  }

  void InvalidateKey(int key, bool soft) {
    v1::InvalidateRequest request;
    request.add_keys(KeyName(key));
    if (soft) request.set_mode(v1::INVALIDATION_MODE_SOFT);
    Invalidate(std::move(request), soft, [key](int other) { return other == key; });
  }

  void InvalidateGroup() {
    v1::InvalidateRequest request;
    const double dice = std::uniform_real_distribution<double>(0, 1)(random);
    if (dice < 0.5) {
      const int tag = Below(random, kTags);
      request.add_tags(absl::StrCat("t", tag));
      return Invalidate(std::move(request), false, [tag](int key) { return key % kTags == tag; });
    }
    if (dice < 0.97) {
      const int pattern = Below(random, kPatterns);
      request.add_patterns(absl::StrCat("g", pattern, ":*"));
      return Invalidate(std::move(request), false, [pattern](int key) { return key % kPatterns == pattern; });
    }
    request.set_all(true);
    Invalidate(std::move(request), false, [](int) { return true; });
  }

  template <typename Concerns>
  void Invalidate(v1::InvalidateRequest request, bool soft, Concerns concerns) {
    const bool strong = Chance(random, kStrongShare);
    if (strong) request.set_consistency(v1::CONSISTENCY_STRONG);
    v1::InvalidateResponse answer;
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + (strong ? kStrongDeadline : kDeadline));
    Operation write{
        .kind = OperationKind::kInvalidate, .replica = replica, .invoked = Now(), .strong = strong, .soft = soft};
    write.outcome = OutcomeOf(stub->Invalidate(&context, request, &answer));
    write.local = answer.deferred();
    if (write.local) write.outcome = Outcome::kUnknown;
    write.returned = Now();
    NoteForKeys(write, concerns);
  }

  template <typename Concerns>
  void NoteForKeys(Operation write, Concerns concerns) {
    for (int key = 0; key < kKeys; ++key) {
      if (!concerns(key)) continue;
      write.key = key;
      history.push_back(write);
    }
  }

  // --- Warm-ups ---

  void RunWarmUps() {
    while (!stopping()) {
      replica = Below(random, kReplicas);
      Connect();
      WarmUp();
      SleepMillis(20);
    }
  }

  // Values that were loaded after the warm-up began and are written a good while later: what was invalidated meanwhile
  // must stay so.
  void WarmUp() {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kWarmDeadline);
    const auto stream = stub->Warm(&context);
    if (AwaitBegin(*stream)) {
      std::vector<Operation> loads;
      for (int key = kKeys - kWarmedKeys; key < kKeys; ++key) {
        loads.push_back({.kind = OperationKind::kFill,
                         .outcome = Outcome::kUnknown,
                         .key = key,
                         .replica = replica,
                         .value = NextValue(),
                         .loaded = Now()});
      }
      SleepMillis(Below(random, 1'500));
      for (Operation& load : loads) {
        load.invoked = Now();
        stream->Write(WarmEntry(KeyName(load.key), ValueText(load.key, load.value), TagOf(load.key)));
      }
      stream->WritesDone();
      v1::WarmProgress progress;
      while (stream->Read(&progress)) {
      }
      for (Operation& load : loads) {
        load.returned = Now();
        history.push_back(load);
      }
    }
    context.TryCancel();
    stream->Finish();
  }

  static v1::WarmRequest WarmEntry(std::string key, std::string value, std::string tag) {
    v1::WarmRequest entry;
    entry.set_key(std::move(key));
    entry.set_value(std::move(value));
    entry.set_ttl_ms(kTtlMillis);
    entry.add_tags(std::move(tag));
    return entry;
  }

  // The first entry's report says that the moment as of which all is written has been fixed.
  bool AwaitBegin(grpc::ClientReaderWriter<v1::WarmRequest, v1::WarmProgress>& stream) {
    v1::WarmProgress progress;
    do {
      if (!stream.Write(WarmEntry("begin", "begin", "begin"))) return false;
      SleepMillis(110);  // reports come ten times a second, and only where there is something to report
      if (!stream.Write(WarmEntry("begin", "begin", "begin")) || !stream.Read(&progress)) return false;
    } while (progress.written() + progress.skipped() == 0);
    return true;
  }

  // --- Foreign writers ---

  void RunForeign() {
    const RedisServer& redis = workload->fleet_->redis();
    while (!stopping()) {
      const int key = WrittenKey();
      const std::string name = absl::StrCat("larder:default:e:", KeyName(key));
      Operation write{.kind = OperationKind::kInvalidate, .key = key, .replica = kForeign, .invoked = Now()};
      const bool removes = Chance(random, 0.5);
      const absl::StatusOr<std::string> answer =
          redis.Command(removes ? std::vector<std::string>{"UNLINK", name}
                                : std::vector<std::string>{"SET", name, "not ours", "PX", "50"});
      write.returned = Now();
      write.outcome = answer.ok() ? Outcome::kDone : Outcome::kUnknown;
      history.push_back(write);
      SleepMillis(150);
    }
  }

  Workload* const workload;
  int replica;
  Random random;
  std::unique_ptr<v1::Cache::Stub> stub;
  std::vector<Operation> history;
};

Workload::Workload(Fleet* fleet, uint64_t seed) : fleet_(fleet) {
  for (int i = 0; i < kReplicas * kThreadsPerReplica + 2; ++i) {
    clients_.push_back(std::make_unique<Client>(this, i % kReplicas, seed * 1'000 + static_cast<uint64_t>(i)));
  }
}

Workload::~Workload() { Stop(); }

void Workload::Start() {
  const size_t callers = clients_.size() - 2;
  for (size_t i = 0; i < callers; ++i) threads_.emplace_back([this, i] { clients_[i]->RunCalls(); });
  threads_.emplace_back([this, callers] { clients_[callers]->RunWarmUps(); });
  if (fleet_->hears_foreign()) threads_.emplace_back([this, callers] { clients_[callers + 1]->RunForeign(); });
}

void Workload::Stop() {
  stopping_ = true;
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

std::vector<Operation> Workload::TakeHistory() {
  std::vector<Operation> all;
  for (const auto& client : clients_) all.insert(all.end(), client->history.begin(), client->history.end());
  return all;
}

}  // namespace larder::chaos
