#include "tests/chaos/caller.h"

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <random>
#include <string>
#include <tuple>
#include <utility>

#include "tests/chaos/keys.h"

namespace larder::chaos {
namespace {

constexpr auto kDeadline = std::chrono::milliseconds(400);
constexpr auto kStrongDeadline = std::chrono::milliseconds(2'500);  // a replica that is silent is waited for
constexpr int64_t kLease = 10 * kNanosPerSecond;                    // the namespace's, by default
constexpr int kBusyKeys = 12;
constexpr int kHotKeys = 4;
constexpr double kStrongShare = 0.3;  // of Sets and Invalidates

int Below(Random& random, int bound) { return Between(random, 0, bound - 1); }

void SetDeadline(grpc::ClientContext& context, bool strong = false) {
  context.set_deadline(std::chrono::system_clock::now() + (strong ? kStrongDeadline : kDeadline));
}

}  // namespace

void Caller::Run() {
  stub_ = StubOf(fleet(), replica_);
  while (!stopping()) TakeTurn(std::uniform_real_distribution<double>(0, 100)(random()));
}

void Caller::TakeTurn(double dice) {
  if (dice < 0.9) return Set(WrittenKey());
  if (dice < 1.2) return SetIf(WrittenKey());
  if (dice < 1.3) return BatchSet();
  if (dice < 1.7) return InvalidateKey(WrittenKey(), /*soft=*/false);
  if (dice < 1.8) return InvalidateKey(Below(random(), kSoftKeys), /*soft=*/true);
  if (dice < 1.9) return InvalidateGroup();
  if (dice < 1.93) return InvalidateSoftGroup();
  if (dice < 2.2) return Touch(Below(random(), kFirstWarmed));
  if (dice < 7) return BatchGet();
  Get(ReadKey());
}

int Caller::WrittenKey() { return Below(random(), Chance(random(), 0.7) ? kBusyKeys : kFirstWarmed); }

int Caller::ReadKey() { return Below(random(), Chance(random(), 0.4) ? kHotKeys : kKeys); }

// --- Reads ---

void Caller::NoteAnswer(const v1::GetResponse& answer, Operation read) {
  const bool failed = answer.status() == v1::STATUS_RETRY || answer.status() == v1::STATUS_UNAVAILABLE;
  read.outcome = failed ? Outcome::kUnknown : Outcome::kDone;
  // Nobody has written that there is none.
  if (answer.status() != v1::STATUS_MISS) read.value = kNobodys;
  if (answer.status() == v1::STATUS_HIT) {
    read.value = ParseValue(read.key, answer.value());
    read.stale = answer.freshness() == v1::FRESHNESS_STALE;
    read.degraded = answer.degraded();
    read.near = answer.tier() == v1::TIER_NEAR;
    if (!read.stale && !read.degraded) seen_[read.key] = {answer.version(), read.value};
  }
  Note(read);
}

void Caller::Get(int key) {
  v1::GetRequest request;
  request.set_key(KeyName(key));
  // What is missing of the warmed keys is left to warm-ups.
  request.set_want_lease(key < kFirstWarmed && Chance(random(), 0.8));
  if (Chance(random(), 0.1)) request.set_wait_ms(20);
  const bool from_store = Chance(random(), 0.03);
  if (from_store) request.set_read_from(v1::READ_FROM_STORE);
  const bool fresh_only = Chance(random(), 0.03);
  request.set_fresh_only(fresh_only);
  v1::GetResponse answer;
  grpc::ClientContext context;
  SetDeadline(context);
  Operation read{.key = key, .replica = replica_, .invoked = Now(), .from_store = from_store, .fresh_only = fresh_only};
  const grpc::Status status = stub_->Get(&context, request, &answer);
  read.returned = Now();
  if (!status.ok()) return NoteFailure(read);
  NoteAnswer(answer, read);
  if (key >= kFirstWarmed) return;
  if (answer.has_lease()) return Fill(key, answer.lease().token(), read.invoked);
  // It has the position of the lease that somebody else holds, and that is not over.
  if (!answer.as_of().empty()) Fill(key, answer.as_of(), read.invoked - kLease);
}

void Caller::BatchGet() {
  v1::BatchGetRequest request;
  std::vector<int> keys;
  for (int i = 0; i < 6; ++i) {
    keys.push_back(Below(random(), kKeys));
    request.add_keys(KeyName(keys.back()));
  }
  v1::BatchGetResponse answer;
  grpc::ClientContext context;
  SetDeadline(context);
  Operation read{.replica = replica_, .invoked = Now()};
  const grpc::Status status = stub_->BatchGet(&context, request, &answer);
  read.returned = Now();
  if (!status.ok()) return NoteFailure(read);
  const auto answered = static_cast<size_t>(answer.results_size());
  for (size_t i = 0; i < keys.size(); ++i) {
    read.key = keys[i];
    NoteAnswer(i < answered ? answer.results(static_cast<int>(i)) : v1::GetResponse(), read);
  }
}

void Caller::NoteFailure(Operation read) {
  read.outcome = Outcome::kUnknown;
  Note(read);
  SleepMillis(1);  // a replica that is away refuses at once
}

// --- Writes ---

void Caller::Fill(int key, const std::string& token, int64_t leased) {
  const int64_t loaded = Now();
  const uint64_t value = NextValue();
  if (Chance(random(), 0.2)) SleepMillis(Below(random(), Chance(random(), 0.1) ? 200 : 5));
  v1::SetRequest request;
  request.set_lease(token);
  Write(key, value, std::move(request), {.kind = OperationKind::kFill, .loaded = loaded, .leased = leased});
}

void Caller::Set(int key) {
  v1::SetRequest request;
  const bool strong = Chance(random(), kStrongShare);
  if (strong) request.set_consistency(v1::CONSISTENCY_STRONG);
  // Such an entry may expire, which is a miss, and is given its time anew by who reads it.
  request.set_sliding(Chance(random(), 0.2));
  Write(key, NextValue(), std::move(request), {.kind = OperationKind::kSet, .strong = strong});
}

void Caller::SetIf(int key) {
  v1::SetRequest request;
  Operation write{.kind = OperationKind::kSet, .strong = Chance(random(), kStrongShare)};
  if (write.strong) request.set_consistency(v1::CONSISTENCY_STRONG);
  const auto seen = seen_.find(key);
  if (seen != seen_.end() && Chance(random(), 0.8)) {
    request.set_if_version(seen->second.version);
    write.replaced = seen->second.value;
  } else {
    request.set_if_absent(true);
  }
  Write(key, NextValue(), std::move(request), write);
}

void Caller::Write(int key, uint64_t value, v1::SetRequest request, Operation write) {
  request.set_key(KeyName(key));
  request.set_value(ValueText(key, value));
  request.set_ttl_ms(request.sliding() ? kShortTtlMillis : kTtlMillis);
  for (const std::string& tag : TagsOf(key)) request.add_tags(tag);
  v1::SetResponse answer;
  grpc::ClientContext context;
  SetDeadline(context, write.strong);
  write.key = key;
  write.replica = replica_;
  write.value = value;
  write.invoked = Now();
  write.outcome = OutcomeOf(stub_->Set(&context, request, &answer));
  if (answer.degraded()) write.outcome = Outcome::kUnknown;
  write.returned = Now();
  Note(write);
}

void Caller::BatchSet() {
  v1::BatchSetRequest request;
  Operation write{.kind = OperationKind::kSet, .replica = replica_, .strong = Chance(random(), kStrongShare)};
  if (write.strong) request.set_consistency(v1::CONSISTENCY_STRONG);
  std::vector<std::pair<int, uint64_t>> written;
  for (int key = Below(random(), kBusyKeys / 2); key < kFirstWarmed; key += 1 + Below(random(), kFirstWarmed)) {
    written.emplace_back(key, NextValue());
    v1::SetRequest& entry = *request.add_entries();
    entry.set_key(KeyName(key));
    entry.set_value(ValueText(key, written.back().second));
    entry.set_ttl_ms(kTtlMillis);
    for (const std::string& tag : TagsOf(key)) entry.add_tags(tag);
  }
  v1::BatchSetResponse answer;
  grpc::ClientContext context;
  SetDeadline(context, write.strong);
  write.invoked = Now();
  const grpc::Status status = stub_->BatchSet(&context, request, &answer);
  write.returned = Now();
  for (size_t i = 0; i < written.size(); ++i) {
    std::tie(write.key, write.value) = written[i];
    write.outcome = OutcomeOf(status);
    if (status.ok()) {
      const v1::BatchSetResult& result = answer.results(static_cast<int>(i));
      write.outcome = OutcomeOf(grpc::Status(static_cast<grpc::StatusCode>(result.code()), result.message()));
      if (result.degraded()) write.outcome = Outcome::kUnknown;
    }
    Note(write);
  }
}

void Caller::Touch(int key) {
  v1::TouchRequest request;
  request.set_key(KeyName(key));
  request.set_ttl_ms(kTtlMillis);
  v1::TouchResponse answer;
  grpc::ClientContext context;
  SetDeadline(context);
  static_cast<void>(OutcomeOf(stub_->Touch(&context, request, &answer)));
}

// --- Invalidations ---

void Caller::InvalidateKey(int key, bool soft) {
  v1::InvalidateRequest request;
  request.add_keys(KeyName(key));
  Invalidate(std::move(request), soft, [key](int other) { return other == key; });
}

void Caller::InvalidateGroup() {
  v1::InvalidateRequest request;
  const double dice = std::uniform_real_distribution<double>(0, 1)(random());
  if (dice < 0.5) {
    const int tag = Below(random(), kTags);
    request.add_tags(TagName(tag));
    return Invalidate(std::move(request), false, [tag](int key) { return key % kTags == tag; });
  }
  if (dice < 0.97) {
    const int pattern = Below(random(), kPatterns);
    request.add_patterns(PatternText(pattern));
    return Invalidate(std::move(request), false, [pattern](int key) { return key % kPatterns == pattern; });
  }
  request.set_all(true);
  Invalidate(std::move(request), false, [](int) { return true; });
}

void Caller::InvalidateSoftGroup() {
  v1::InvalidateRequest request;
  if (Chance(random(), 0.5)) {
    const int tag = Below(random(), kSoftTags);
    request.add_tags(SoftTagName(tag));
    return Invalidate(std::move(request), true, [tag](int key) { return key < kSoftKeys && key % kSoftTags == tag; });
  }
  const int pattern = Below(random(), kPatterns);
  request.add_patterns(SoftPatternText(pattern));
  Invalidate(std::move(request), true, [pattern](int key) { return key < kSoftKeys && key % kPatterns == pattern; });
}

template <typename Concerns>
void Caller::Invalidate(v1::InvalidateRequest request, bool soft, Concerns concerns) {
  if (soft) request.set_mode(v1::INVALIDATION_MODE_SOFT);
  const bool strong = Chance(random(), kStrongShare);
  if (strong) request.set_consistency(v1::CONSISTENCY_STRONG);
  v1::InvalidateResponse answer;
  grpc::ClientContext context;
  SetDeadline(context, strong);
  Operation write{
      .kind = OperationKind::kInvalidate, .replica = replica_, .invoked = Now(), .strong = strong, .soft = soft};
  write.outcome = OutcomeOf(stub_->Invalidate(&context, request, &answer));
  write.local = answer.deferred();
  if (write.local) write.outcome = Outcome::kUnknown;
  write.returned = Now();
  NoteForKeys(write, kKeys, concerns);
}

}  // namespace larder::chaos
