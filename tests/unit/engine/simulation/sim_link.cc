#include "tests/unit/engine/simulation/sim_link.h"

#include "absl/strings/str_cat.h"
#include "tests/support/store_calls.h"

namespace larder::simulation {
namespace {

// Every replica has entries of its own, since what a replica finds of one is remembered in it.
EntryRef Copy(const Entry& entry, int64_t read_nanos) {
  EntryMeta meta = entry.meta();
  meta.read_nanos = read_nanos;
  return Entry::Create(meta, entry.content_type(), entry.value(), entry.tags().encoded());
}

constexpr auto kNothing = [](auto&) {};

}  // namespace

void SimLink::Read(ReadRequest request, StoreCallback<ReadResult> done) {
  std::string what = absl::StrCat("read ", request.keys[0], request.keys.size() > 1 ? ".." : "");
  const auto execute = [this, request](const Call& call) {
    absl::StatusOr<ReadResult> result = ReadNow(network_.store_, request);
    for (EntryRef& entry : result->entries) {
      if (entry) entry = Copy(*entry, call.sent_nanos);
    }
    network_.Sharing(&result->control);
    return result;
  };
  const auto deliver = [this, name_space = request.name_space, known = request.known](ReadResult& result) {
    if (!network_.options_.late_control) return;
    result.control = *ReadControlNow(network_.store_, name_space, known);
    network_.Sharing(&result.control);
  };
  Send<ReadResult>(std::move(what), std::move(done), execute, deliver);
}

void SimLink::Write(WriteRequest request, StoreCallback<WriteResult> done) {
  std::string what =
      absl::StrCat(request.fill ? "fill " : "write ", request.key, "=", std::string(request.entry->content_type()));
  // The engine's entry is stamped when it is told, not while others may read it.
  const EntryRef written = Copy(*request.entry, request.entry->meta().read_nanos);
  const EntryRef engines = std::exchange(request.entry, written);
  const auto execute = [this, request](const Call&) {
    absl::StatusOr<WriteResult> result = WriteNow(network_.store_, request);
    if (result->applied) {
      if (!request.fill) network_.truth_.SetExecuted(request.entry->content_type());
      network_.LeaseEnded(request.key);
    } else {
      network_.Log("  not applied");
    }
    network_.Sharing(&result->control);
    return result;
  };
  const auto deliver = [written, engines](const WriteResult& result) {
    if (result.applied) engines->Stamp(written->meta().generation, written->meta().epoch);
  };
  Send<WriteResult>(std::move(what), std::move(done), execute, deliver);
}

void SimLink::Touch(TouchRequest request, StoreCallback<TouchResult> done) {
  std::string what = absl::StrCat("touch ", request.key);
  const auto execute = [this, request](const Call&) {
    absl::StatusOr<TouchResult> result = TouchNow(network_.store_, request);
    network_.Sharing(&result->control);
    return result;
  };
  Send<TouchResult>(std::move(what), std::move(done), execute, kNothing);
}

void SimLink::Erase(EraseRequest request, StoreCallback<EraseResult> done) {
  std::string what = absl::StrCat(request.soft_versions.empty() ? "erase " : "soften ", request.keys[0]);
  const auto execute = [this, request](const Call& call) {
    absl::StatusOr<EraseResult> result = EraseNow(network_.store_, request);
    if (call.effects) call.effects->erased = network_.truth_.Tick();
    for (const std::string& key : request.keys) network_.LeaseEnded(key);
    return result;
  };
  Send<EraseResult>(std::move(what), std::move(done), execute, kNothing);
}

void SimLink::Lease(LeaseRequest request, StoreCallback<LeaseResult> done) {
  std::string what = absl::StrCat("lease ", request.key);
  const auto execute = [this, request](const Call&) {
    network_.WillLease(request);
    absl::StatusOr<LeaseResult> result = LeaseNow(network_.store_, request);
    if (result->outcome == LeaseResult::Outcome::kGranted) network_.Granted(request);
    network_.Log(absl::StrCat("  outcome ", static_cast<int>(result->outcome)));
    network_.Sharing(&result->control);
    return result;
  };
  const auto deliver = [this](const LeaseResult& result) {
    if (result.outcome == LeaseResult::Outcome::kGranted) network_.granted.insert(result.fill.token);
    if (result.outcome == LeaseResult::Outcome::kHeld) ++network_.counts_["leases held by others"];
  };
  Send<LeaseResult>(std::move(what), std::move(done), execute, deliver);
}

void SimLink::Release(ReleaseRequest request, StoreCallback<ReleaseResult> done) {
  std::string what = absl::StrCat("release ", request.key);
  network_.given_back.insert(request.token);
  const auto execute = [this, request](const Call&) {
    absl::StatusOr<ReleaseResult> result = ReleaseNow(network_.store_, request);
    if (result->held) network_.LeaseEnded(request.key);
    return result;
  };
  Send<ReleaseResult>(std::move(what), std::move(done), execute, kNothing);
}

void SimLink::InvalidateGroups(GroupRequest request, StoreCallback<GroupResult> done) {
  std::string what = absl::StrCat("stamp ", request.soft ? "soft" : "hard", request.all ? " all" : "",
                                  request.tags.empty() ? "" : " tag", request.patterns.empty() ? "" : " pattern");
  if (network_.options_.judges_no_patterns) SimNetwork::HidePatterns(&request);
  const auto execute = [this, request](const Call& call) {
    absl::StatusOr<GroupResult> result = InvalidateGroupsNow(network_.store_, request);
    if (call.effects) call.effects->stamped = network_.truth_.Tick();
    network_.AllLeasesEnded();
    network_.Sharing(&result->control);
    return result;
  };
  Send<GroupResult>(std::move(what), std::move(done), execute, kNothing);
}

void SimLink::Scan(ScanRequest request, StoreCallback<ScanResult> done) {
  const auto execute = [this, request](const Call&) {
    absl::StatusOr<ScanResult> result = ScanNow(network_.store_, request);
    network_.Sharing(&result->control);
    return result;
  };
  Send<ScanResult>("scan", std::move(done), execute, kNothing);
}

void SimLink::EraseVersions(EraseVersionsRequest request, StoreCallback<EraseResult> done) {
  const auto execute = [this, request](const Call&) {
    absl::StatusOr<EraseResult> result = EraseVersionsNow(network_.store_, request);
    for (const auto& [key, version] : request.keys) network_.LeaseEnded(key);
    return result;
  };
  Send<EraseResult>("erase versions", std::move(done), execute, kNothing);
}

void SimLink::EraseDead(EraseDeadRequest request, StoreCallback<EraseDeadResult> done) {
  const auto execute = [this, request](const Call&) {
    absl::StatusOr<EraseDeadResult> result = EraseDeadNow(network_.store_, request);
    if (result->erased > 0) network_.counts_["swept"] += static_cast<uint64_t>(result->erased);
    network_.Sharing(&result->control);
    return result;
  };
  Send<EraseDeadResult>("erase dead", std::move(done), execute, kNothing);
}

void SimLink::Sweep(SweepRequest request, StoreCallback<SweepResult> done) {
  std::string what = absl::StrCat("sweep ", static_cast<int>(request.step));
  const auto execute = [this, request](const Call&) {
    absl::StatusOr<SweepResult> result = SweepNow(network_.store_, request);
    // COHERENCE C4: the fence is raised, and what was leased before is not stored.
    if (request.step == SweepRequest::Step::kBegin && result->mine) network_.AllLeasesEnded();
    if (request.step == SweepRequest::Step::kEnd && result->mine) ++network_.counts_["sweeps"];
    network_.Sharing(&result->control);
    return result;
  };
  Send<SweepResult>(std::move(what), std::move(done), execute, kNothing);
}

}  // namespace larder::simulation
