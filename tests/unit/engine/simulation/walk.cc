#include "tests/unit/engine/simulation/walk.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace larder::simulation {
namespace {

constexpr int64_t kNearMaxAgeMs = 1'000;
// No call is under way for longer: a store has a timeout of its own.
constexpr int64_t kCallTimeout = 40 * kNanosPerSecond;
// Past what a sweep and its readers wait for before they forget.
constexpr int64_t kLongPause = 70 * kNanosPerSecond;

NamespacePolicy PolicyFrom(Rng& rng, bool has_origin) {
  NamespacePolicy policy;
  policy.name = "default";
  policy.near_share = 1.0;
  policy.near_max_age_ms = kNearMaxAgeMs;
  policy.default_ttl_ms = 3'000;
  policy.max_ttl_ms = 200'000;
  policy.ttl_jitter = rng.OneOf({0.0, 0.3});
  policy.stale_for_ms = rng.OneOf<int64_t>({0, 4'000});
  policy.stale_if_error_ms = rng.OneOf<int64_t>({0, 5'000});
  policy.refresh_retry_ms = 500;
  policy.eager_refresh = rng.OneOf({0.0, 0.5});
  policy.lease_ms = 2'000;
  policy.max_wait_ms = 5'000;
  policy.max_waiters = rng.OneOf<size_t>({2, 100});
  if (has_origin) policy.origin = OriginPolicy{.target = "sim", .soft_timeout_ms = 1'500, .hard_timeout_ms = 3'000};
  return policy;
}

Setting SettingFrom(Rng& rng, std::function<void(const std::string&)> log) {
  Setting setting;
  setting.network.replicas = rng.OneOf({1, 2, 2, 3});
  setting.network.connections = rng.OneOf({1, 2});
  setting.network.fault_percent = setting.network.replicas == 1 ? 0 : rng.OneOf({0, 0, 5});
  setting.network.judges_no_patterns = rng.Chance(50);
  setting.network.late_control = rng.Chance(50);
  setting.network.log = std::move(log);
  setting.keys = rng.OneOf({1, 2});
  // With one key alone: the order in which many are woken is not the seed's to say.
  setting.network.lossy_wakes = setting.keys == 1 && rng.Chance(50);
  setting.steps = rng.OneOf({80, 120, 160});
  setting.has_origin = rng.Chance(25);
  setting.policy = PolicyFrom(rng, setting.has_origin);
  return setting;
}

}  // namespace

Walk::Walk(uint64_t seed, Counts* counts, std::function<void(const std::string&)> log)
    : rng_(seed * 0x10001),
      setting_(SettingFrom(rng_, log)),
      counts_(*counts),
      log_(std::move(log)),
      truth_(kNearMaxAgeMs * kNanosPerMilli),
      network_(setting_.network, &clock_, &rng_, &truth_, counts) {
  for (int i = 0; i < setting_.network.replicas; ++i) MakeReplica(i, rng_.Next());
}

Walk::~Walk() = default;

void Walk::MakeReplica(int index, uint64_t seed) {
  Replica replica;
  replica.registry = std::make_unique<Registry>();
  CacheEngine::Options options{
      .near_capacity_bytes = 1 << 20, .namespaces = {setting_.policy}, .version_seed = seed, .origins = {}};
  if (setting_.has_origin) {
    replica.origin = std::make_unique<SimOrigin>(&rng_, &truth_);
    options.origins["default"] = replica.origin.get();
  }
  replica.engine = std::make_unique<CacheEngine>(std::move(options), network_.link(index), &clock_, &scheduler_,
                                                 replica.registry.get());
  Sweeper::Options sweep;
  sweep.interval_nanos = 500 * kNanosPerMilli;
  sweep.step_keys = 2;
  sweep.id = static_cast<uint64_t>(index) + 1;
  replica.sweeper = std::make_unique<Sweeper>(sweep, replica.engine.get(), network_.link(index), &clock_, &scheduler_,
                                              replica.registry.get());
  replica.sweeper->Start();
  replicas_.push_back(std::move(replica));
}

std::string Walk::Run() {
  for (int i = 0; i < setting_.steps && violation_.empty(); ++i) Step();
  if (violation_.empty()) Quiesce();
  // What is still under way refers to the replicas.
  if (!violation_.empty()) Settle();
  return violation_;
}

void Walk::Step() {
  std::vector<Choice> choices;
  AddSystemChoices(&choices);
  AddClientChoices(&choices);
  size_t total = 0;
  for (const Choice& choice : choices) total += choice.weight;
  size_t left = rng_.Below(total);
  for (const Choice& choice : choices) {
    if (left < choice.weight) {
      choice.act();
      break;
    }
    left -= choice.weight;
  }
  if (!network_.violation().empty()) Fail(network_.violation());
}

void Walk::AddSystemChoices(std::vector<Choice>* choices) {
  if (network_.commands() > 0) choices->push_back({40, [this] { network_.Execute(); }});
  if (network_.answers() > 0) choices->push_back({40, [this] { network_.Answer(); }});
  if (network_.late() > 0) choices->push_back({4, [this] { network_.ExecuteLate(); }});
  if (network_.wakes() > 0) choices->push_back({8, [this] { network_.Wake(); }});
  if (scheduler_.due() > 0) choices->push_back({15, [this] { scheduler_.Run(rng_.Below(scheduler_.due())); }});
  choices->push_back({8, [this] { Advance(); }});
  if (rng_.Chance(30)) choices->push_back({1, [this] { network_.RaiseBarrier(); }});
}

void Walk::AddClientChoices(std::vector<Choice>* choices) {
  choices->push_back({16, [this] { RandomGet(); }});
  choices->push_back({2, [this] { BatchGet(); }});
  choices->push_back({3, [this] { Set(); }});
  choices->push_back({4, [this] { Invalidate(); }});
  choices->push_back({1, [this] { Touch(); }});
  if (!leases_.empty()) {
    choices->push_back({20, [this] { Load(); }});
    choices->push_back({20, [this] { Fill(); }});
    choices->push_back({4, [this] { Release(); }});
    choices->push_back({1, [this] { TakeLease(); }});
  }
  if (OriginWith(&SimOrigin::asked) != nullptr) choices->push_back({15, [this] { OriginLoads(); }});
  if (OriginWith(&SimOrigin::loaded) != nullptr) choices->push_back({4, [this] { OriginAnswers(); }});
}

SimOrigin* Walk::OriginWith(size_t (SimOrigin::*count)() const) {
  for (const Replica& replica : replicas_) {
    if (replica.origin && (replica.origin.get()->*count)() > 0) return replica.origin.get();
  }
  return nullptr;
}

void Walk::OriginLoads() { Log(absl::StrCat("origin reads ", OriginWith(&SimOrigin::asked)->LoadOne())); }

void Walk::OriginAnswers() {
  Log("origin answers");
  OriginWith(&SimOrigin::loaded)->AnswerOne();
}

void Walk::Advance() {
  int64_t nanos = rng_.OneOf<int64_t>({1, 10, 100, 300, 600, 1'500}) * kNanosPerMilli;
  const bool pause = rng_.Chance(3);
  if (pause) nanos = kLongPause;
  if (!network_.idle() && (pause || clock_.NowNanos() + nanos - network_.oldest_nanos() > kCallTimeout)) Settle();
  clock_.Advance(nanos);
  Log(absl::StrCat("it is ", clock_.NowNanos() / kNanosPerMilli, " ms"));
}

void Walk::Settle() {
  while (!network_.idle() || OriginWith(&SimOrigin::asked) != nullptr || OriginWith(&SimOrigin::loaded) != nullptr) {
    if (network_.commands() > 0) network_.Execute();
    if (network_.answers() > 0) network_.Answer();
    if (network_.late() > 0) network_.ExecuteLate();
    if (network_.wakes() > 0) network_.Wake();
    if (OriginWith(&SimOrigin::asked) != nullptr) OriginLoads();
    if (OriginWith(&SimOrigin::loaded) != nullptr) OriginAnswers();
  }
}

void Walk::Quiesce() {
  // Past the longest wait, every lease and every pause.
  const auto pass = [this] {
    for (int i = 0; i < 12; ++i) {
      Settle();
      for (size_t due = scheduler_.due(); due > 0; --due) scheduler_.Run(0);
      Settle();
      clock_.Advance(kNanosPerSecond);
    }
  };
  Log("everything ends");
  pass();
  if (open_ != 0) Fail(absl::StrCat(open_, " operations were never answered"));
  for (const Replica& replica : replicas_) {
    const int64_t waiting = replica.engine->keyspaces()[0]->loader().waiting();
    if (waiting != 0) Fail(absl::StrCat(waiting, " are left waiting"));
  }
  if (setting_.network.fault_percent == 0) CountLeases();
  for (int i = 0; i < setting_.network.replicas; ++i) {
    for (int k = 0; k < setting_.keys; ++k) {
      StartGet(i, absl::StrCat("k", k),
               {.from_store = true, .wants_lease = !setting_.has_origin, .wait_ms = 1'000, .fresh_only = true});
    }
  }
  pass();
  if (open_ != 0) Fail(absl::StrCat(open_, " operations were not answered after all had ended"));
  if (!network_.violation().empty()) Fail(network_.violation());
}

// COHERENCE P3: what a replica got goes to somebody, or back.
void Walk::CountLeases() {
  // A load of the origin's that ends otherwise than by a fill gives its lease back, and one that fills does not.
  if (setting_.has_origin) return;
  for (uint64_t token : network_.granted) {
    if (answered_leases_.count(token) == 0 && network_.given_back.count(token) == 0) Fail("a lease went to nobody");
  }
}

}  // namespace larder::simulation
