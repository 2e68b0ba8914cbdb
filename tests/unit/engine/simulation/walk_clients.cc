// What the clients of a walk do.
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/unit/engine/simulation/walk.h"

namespace larder::simulation {
namespace {

const char* TierName(Tier tier) { return tier == Tier::kNear ? "near" : tier == Tier::kStore ? "store" : "origin"; }

}  // namespace

Asked Walk::Ask(int replica, std::string key, bool from_store, bool fresh_only) const {
  return {replica, std::move(key), from_store, fresh_only, clock_.NowNanos(), truth_.acknowledged()};
}

void Walk::RandomGet() {
  GetCommand get;
  get.wants_lease = !setting_.has_origin && rng_.Chance(60);
  get.wait_ms = rng_.OneOf<int64_t>({0, 500, 3'000});
  get.fresh_only = rng_.Chance(15);
  get.from_store = rng_.Chance(20);
  StartGet(AnyReplica(), AnyKey(), get);
}

void Walk::StartGet(int replica, std::string key, GetCommand command) {
  Log(absl::StrCat("[", replica, "] get ", key, command.from_store ? " from store" : "",
                   command.wants_lease ? " or lease" : "", command.fresh_only ? " fresh" : "", " wait ",
                   command.wait_ms));
  ++open_;
  const Asked asked = Ask(replica, key, command.from_store, command.fresh_only);
  command.key = key;
  replicas_[static_cast<size_t>(replica)].engine->Get({}, command,
                                                      [this, asked](const absl::StatusOr<GetAnswer>& answer) {
                                                        --open_;
                                                        if (answer.ok()) return OnGet(asked, *answer);
                                                        ++counts_["failed gets"];
                                                        Log(absl::StrCat("  [", asked.replica, "] failed ", asked.key));
                                                      });
}

void Walk::OnGet(const Asked& asked, const GetAnswer& answer) {
  CheckAnswer(asked, answer);
  if (answer.lease.has_value()) {
    answered_leases_.insert(answer.lease->token);
    ++counts_[answer.entry ? "leases to refresh" : "leases of what is missing"];
    leases_.push_back({asked.key, *answer.lease, "", false});
  } else if (answer.as_of.has_value()) {
    ++counts_["misses with the right to fill"];
    if (rng_.Chance(50)) leases_.push_back({asked.key, *answer.as_of, "", false});
  }
}

void Walk::CheckAnswer(const Asked& asked, const GetAnswer& answer) {
  if (!answer.entry) {
    ++counts_["misses"];
    return Log(absl::StrCat("  [", asked.replica, "] miss ", asked.key, answer.lease ? " with lease" : ""));
  }
  const std::string value(answer.entry->content_type());
  Log(absl::StrCat("  [", asked.replica, "] hit ", asked.key, "=", value, " ", TierName(answer.tier),
                   answer.stale ? " stale" : "", answer.degraded ? " degraded" : ""));
  if (answer.degraded) ++counts_["degraded hits"];
  ++counts_[answer.stale ? "stale hits" : "fresh hits"];
  ++counts_[absl::StrCat("hits from ", TierName(answer.tier))];
  if (answer.entry->meta().absent) ++counts_["hits of what is absent"];
  if (const auto why = truth_.Check(asked, value, answer.stale, answer.degraded)) {
    Fail(absl::StrCat("replica ", asked.replica, ", Get of ", asked.key, " begun at ",
                      asked.began_nanos / kNanosPerMilli, " ms", asked.from_store ? " from the store" : "",
                      ", answered ", value, answer.stale ? " (stale)" : "", answer.degraded ? " (degraded)" : "", ": ",
                      *why));
  }
}

void Walk::BatchGet() {
  const int replica = AnyReplica();
  BatchGetCommand command;
  command.from_store = rng_.Chance(20);
  command.fresh_only = rng_.Chance(20);
  std::vector<std::string> keys;
  for (int i = 0; i < setting_.keys; ++i) keys.push_back(absl::StrCat("k", i));
  command.keys = {keys.begin(), keys.end()};
  std::vector<Asked> asked;
  for (const std::string& key : keys) asked.push_back(Ask(replica, key, command.from_store, command.fresh_only));
  Log(absl::StrCat("[", replica, "] batch get"));
  ++open_;
  replicas_[static_cast<size_t>(replica)].engine->BatchGet(
      {}, command, [this, asked](const absl::StatusOr<std::vector<BatchGetItem>>& items) {
        --open_;
        if (!items.ok()) return;
        for (size_t i = 0; i < asked.size(); ++i) {
          if ((*items)[i].available) CheckAnswer(asked[i], (*items)[i].answer);
        }
      });
}

SetCommand Walk::SetOf(const std::string& key, const std::string& value, bool tagged) {
  SetCommand set;
  set.key = key;
  set.content_type = value;
  set.absent = rng_.Chance(10);
  if (!set.absent) set.value = value;
  if (tagged) set.tags = {"t"};
  set.ttl.ttl_ms = rng_.OneOf<int64_t>({800, 3'000, 150'000});
  set.sliding = rng_.Chance(15);
  return set;
}

void Walk::SendSet(int replica, const SetCommand& command, const std::string& value) {
  ++open_;
  replicas_[static_cast<size_t>(replica)].engine->Set(
      {}, command, [this, replica, value, is_fill = command.fill.has_value()](const absl::StatusOr<SetAnswer>& answer) {
        --open_;
        if (!answer.ok()) return;
        const char* what = is_fill ? "fills" : "sets";
        ++counts_[absl::StrCat(what, answer->applied ? "" : " aborted")];
        Log(absl::StrCat("  [", replica, "] ", what, " ", value, answer->applied ? "" : " aborted"));
        if (answer->applied) truth_.SetAcknowledged(replica, value, clock_.NowNanos());
      });
}

void Walk::Set() {
  const int replica = AnyReplica();
  const std::string key = AnyKey();
  const bool tagged = rng_.Chance(50);
  const std::string value = truth_.NewValue(key, tagged, 0);
  SetCommand set = SetOf(key, value, tagged);
  if (rng_.Chance(40)) set.condition.kind = rng_.OneOf({Condition::Kind::kAbsent, Condition::Kind::kPresent});
  Log(absl::StrCat("[", replica, "] set ", key, "=", value, tagged ? " tagged" : "", " for ", *set.ttl.ttl_ms));
  SendSet(replica, set, value);
}

Walk::ClientLease Walk::TakeLease() {
  const auto chosen = leases_.begin() + static_cast<std::ptrdiff_t>(rng_.Below(leases_.size()));
  ClientLease lease = std::move(*chosen);
  leases_.erase(chosen);
  return lease;
}

void Walk::Load() {
  ClientLease& lease = leases_[rng_.Below(leases_.size())];
  lease.tagged = rng_.Chance(50);
  lease.value = truth_.NewValue(lease.key, lease.tagged, truth_.now());
  Log(absl::StrCat("load ", lease.key, "=", lease.value, lease.tagged ? " tagged" : ""));
}

void Walk::Fill() {
  if (leases_.front().value.empty()) Load();
  const ClientLease lease = TakeLease();
  if (lease.value.empty()) return;
  SetCommand fill = SetOf(lease.key, lease.value, lease.tagged);
  fill.fill = lease.fill;
  const int replica = AnyReplica();
  Log(absl::StrCat("[", replica, "] fill ", lease.key, "=", lease.value, " for ", *fill.ttl.ttl_ms));
  SendSet(replica, fill, lease.value);
}

void Walk::Release() {
  const ClientLease lease = TakeLease();
  const int replica = AnyReplica();
  Log(absl::StrCat("[", replica, "] release ", lease.key));
  ++open_;
  replicas_[static_cast<size_t>(replica)].engine->Release({}, {.name_space = "", .key = lease.key, .lease = lease.fill},
                                                          [this](const absl::StatusOr<bool>& held) {
                                                            --open_;
                                                            if (held.ok() && *held) ++counts_["leases released"];
                                                          });
}

void Walk::Touch() {
  const std::string key = AnyKey();
  ++open_;
  replicas_[static_cast<size_t>(AnyReplica())].engine->Touch(
      {}, {.name_space = "", .key = key, .ttl = {.ttl_ms = 4'000, .ttl_class = {}}},
      [this](const absl::StatusOr<TouchAnswer>& answer) {
        --open_;
        if (answer.ok() && answer->found) ++counts_["touches"];
      });
}

void Walk::Invalidate() {
  Invalidated what;
  const size_t kind = rng_.Below(6);
  if (kind <= 1 || kind == 5) what.keys = {AnyKey()};
  if (kind == 2 || kind == 5) what.tag = true;
  if (kind == 3) what.patterns = {rng_.OneOf({"k*", "*0", "?1", "k1*"})};
  if (kind == 4) what.all = true;
  what.soft = rng_.Chance(35);
  InvalidateCommand command;
  command.keys = {what.keys.begin(), what.keys.end()};
  if (what.tag) command.tags = {"t"};
  command.patterns = {what.patterns.begin(), what.patterns.end()};
  command.all = what.all;
  command.soft = what.soft;
  const int replica = AnyReplica();
  Log(absl::StrCat("[", replica, "] invalidate ", what.soft ? "soft" : "hard",
                   what.keys.empty() ? "" : " " + what.keys[0], what.tag ? " tag" : "",
                   what.patterns.empty() ? "" : " " + what.patterns[0], what.all ? " all" : ""));
  ++open_;
  const auto effects = std::make_shared<Effects>();
  network_.operation = effects;
  replicas_[static_cast<size_t>(replica)].engine->Invalidate(
      {}, command, [this, replica, what, effects](const absl::StatusOr<InvalidateAnswer>& answer) {
        --open_;
        if (!answer.ok()) return;
        ++counts_[what.soft ? "soft invalidations" : "hard invalidations"];
        Log(absl::StrCat("  [", replica, "] invalidated"));
        truth_.InvalidationAcknowledged(replica, what, *effects, clock_.NowNanos());
      });
  network_.operation = nullptr;
}

}  // namespace larder::simulation
