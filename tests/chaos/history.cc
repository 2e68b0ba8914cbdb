#include "tests/chaos/history.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace larder::chaos {
namespace {

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

// Up to when acknowledged writes have replaced what was there, as a function of time.
class Floor {
 public:
  void Add(const Operation& write) { steps_.emplace_back(write.returned, write.invoked); }

  void Seal() {
    std::sort(steps_.begin(), steps_.end());
    int64_t highest = 0;
    for (auto& [returned, invoked] : steps_) invoked = highest = std::max(highest, invoked);
  }

  // The latest invocation of a write that had been acknowledged before `time`; 0: none had.
  int64_t At(int64_t time) const {
    const auto next = std::lower_bound(steps_.begin(), steps_.end(), std::pair<int64_t, int64_t>(time, 0));
    return next == steps_.begin() ? 0 : std::prev(next)->second;
  }

 private:
  std::vector<std::pair<int64_t, int64_t>> steps_;  // when acknowledged, when invoked
};

// The floors of one key, of all writes or without those that leave a stale entry.
struct Floors {
  explicit Floors(int replicas) : by_replica(static_cast<size_t>(replicas)) {}

  void Add(const Operation& write) {
    all.Add(write);
    if (write.strong) strong.Add(write);
    if (write.replica != kForeign) by_replica[static_cast<size_t>(write.replica)].Add(write);
  }

  void Seal() {
    all.Seal();
    strong.Seal();
    for (Floor& floor : by_replica) floor.Seal();
  }

  Floor all;
  Floor strong;
  std::vector<Floor> by_replica;
};

struct Written {
  int key = 0;
  bool refused = false;
  int64_t begun = 0;         // invoked, or loaded
  int64_t settled = kNever;  // from then on a write that is invoked comes after it
};

class Checker {
 public:
  explicit Checker(const CheckOptions& options)
      : options_(options),
        any_(static_cast<size_t>(options.keys), Floors(options.replicas)),
        hard_(static_cast<size_t>(options.keys), Floors(options.replicas)),
        softened_(static_cast<size_t>(options.keys)),
        deferred_(static_cast<size_t>(options.keys)) {}

  void AddWrite(const Operation& write) {
    if (write.kind != OperationKind::kInvalidate) written_[write.value] = Settled(write);
    if (write.soft && write.outcome != Outcome::kRefused) softened_[static_cast<size_t>(write.key)].push_back(write);
    if (write.local) deferred_[static_cast<size_t>(write.key)].push_back(write);
    // What a fill stores is no newer than what it was loaded from.
    if (write.outcome != Outcome::kDone || write.kind == OperationKind::kFill) return;
    if (write.replaced != 0) ++replaced_[write.replaced];
    any_[static_cast<size_t>(write.key)].Add(write);
    if (!write.soft) hard_[static_cast<size_t>(write.key)].Add(write);
  }

  void Seal() {
    for (Floors& floors : any_) floors.Seal();
    for (Floors& floors : hard_) floors.Seal();
  }

  // COHERENCE P4: what the store was seen to have has landed, and must not land once more.
  void AddSighting(const Operation& read) {
    const auto found = written_.find(read.value);
    if (read.near || read.degraded || found == written_.end() || found->second.settled != kNever) return;
    int64_t& first = seen_.emplace(read.value, read.returned).first->second;
    first = std::min(first, read.returned);
  }

  // Whether an acknowledged Set may have found what it names. Empty: it may.
  std::string JudgeCondition(const Operation& write) const {
    if (replaced_.at(write.replaced) > 1) return "a value that two conditional Sets replaced";
    const auto found = written_.find(write.replaced);
    if (found == written_.end() || found->second.key != write.key) return "the replacement of a value never written";
    if (found->second.refused) return "the replacement of a value whose write was refused";
    Operation read = write;
    read.value = write.replaced;
    read.from_store = true;
    // What a SOFT invalidation left is there, and may be replaced.
    read.stale = write.key < options_.soft_keys;
    return JudgeAge(read, found->second);
  }

  // Empty: it may be.
  std::string Judge(const Operation& read) const {
    if (read.degraded && !IsInFault(read)) return "a degraded answer without a fault";
    if (read.fresh_only && (read.stale || read.degraded)) return "a stale or degraded answer to fresh_only";
    if (read.stale && read.key >= options_.soft_keys) return "a stale answer without a SOFT invalidation";
    if (read.value == 0) return "";
    const auto found = written_.find(read.value);
    if (found == written_.end()) return "a value that was never written";
    const Written& written = found->second;
    if (written.key != read.key) return absl::StrCat("a value that was written under key ", written.key);
    if (written.refused) return "a value whose write was refused";
    if (read.stale && !WasSoftened(read, written)) return "a stale answer without a SOFT invalidation since its write";
    return JudgeAge(read, written);
  }

 private:
  static Written Settled(const Operation& write) {
    Written written{.key = write.key, .begun = write.invoked};
    if (write.kind == OperationKind::kFill) {
      // One that is refused because its group was invalidated right after it had landed may have been seen until then.
      written.begun = written.settled = write.loaded;
      if (write.leased != 0) written.begun = write.leased;
    } else if (write.outcome == Outcome::kDone) {
      written.settled = write.returned;
    } else {
      written.refused = write.outcome == Outcome::kRefused;
    }
    return written;
  }

  bool WasSoftened(const Operation& read, const Written& written) const {
    const std::vector<Operation>& all = softened_[static_cast<size_t>(read.key)];
    return std::any_of(all.begin(), all.end(), [&](const Operation& soft) {
      const bool may_be_later = soft.outcome != Outcome::kDone || soft.returned >= written.begun;
      return soft.invoked <= read.returned && may_be_later;
    });
  }

  // The latest invocation of an invalidation that the read's replica had deferred, and still knew of.
  int64_t DeferredFloor(const Operation& read) const {
    int64_t floor = 0;
    for (const Operation& write : deferred_[static_cast<size_t>(read.key)]) {
      if (write.replica != read.replica || write.returned >= read.invoked || (read.stale && write.soft)) continue;
      const bool is_forgotten = std::any_of(options_.ends.begin(), options_.ends.end(), [&](const End& end) {
        return end.replica == read.replica && end.time >= write.invoked && end.time <= read.returned;
      });
      if (!is_forgotten) floor = std::max(floor, write.invoked);
    }
    return floor;
  }

  std::string JudgeAge(const Operation& read, const Written& written) const {
    const Floors& floors = (read.stale ? hard_ : any_)[static_cast<size_t>(read.key)];
    const auto seen = seen_.find(read.value);
    const int64_t settled = seen == seen_.end() ? written.settled : seen->second;
    const auto too_old = [&](int64_t floor, std::string_view whose) {
      if (settled >= floor) return std::string();
      return absl::StrFormat(
          "a value settled %.1f ms before the Get, replaced by a write invoked %.1f ms before it, %s",
          static_cast<double>(read.invoked - settled) / 1e6, static_cast<double>(read.invoked - floor) / 1e6, whose);
    };
    std::string what;
    if (read.replica != kForeign) {
      what = too_old(floors.by_replica[static_cast<size_t>(read.replica)].At(read.invoked),
                     "which the same replica had acknowledged");
    }
    if (what.empty()) what = too_old(DeferredFloor(read), "which the same replica had deferred");
    if (what.empty() && read.degraded) {
      what = too_old(floors.all.At(read.invoked - options_.degraded_max_age - options_.delta),
                     "acknowledged longer ago than a degraded answer may be old");
    }
    if (read.degraded) return what;
    if (what.empty()) what = too_old(floors.strong.At(read.invoked), "which had been acknowledged as STRONG");
    if (what.empty() && read.from_store) {
      what = too_old(floors.all.At(read.invoked), "which had been acknowledged, and it asked the store");
    }
    if (what.empty()) what = too_old(floors.all.At(read.invoked - options_.delta), "acknowledged more than delta ago");
    return what;
  }

  bool IsInFault(const Operation& read) const {
    return std::any_of(options_.faults.begin(), options_.faults.end(), [&](const Window& window) {
      return read.returned >= window.begin && read.invoked <= window.end;
    });
  }

  const CheckOptions& options_;
  std::unordered_map<uint64_t, Written> written_;
  std::vector<Floors> any_;
  std::vector<Floors> hard_;  // SOFT invalidations left out
  std::vector<std::vector<Operation>> softened_;
  std::vector<std::vector<Operation>> deferred_;
  std::unordered_map<uint64_t, int> replaced_;  // by how many acknowledged conditional Sets
  std::unordered_map<uint64_t, int64_t> seen_;  // of unknown outcome: when first read from the store
};

}  // namespace

std::vector<Violation> CheckHistory(const std::vector<Operation>& history, const CheckOptions& options) {
  Checker checker(options);
  for (const Operation& operation : history) {
    if (operation.kind != OperationKind::kGet) checker.AddWrite(operation);
  }
  checker.Seal();
  for (const Operation& operation : history) {
    if (operation.kind == OperationKind::kGet && operation.outcome == Outcome::kDone) checker.AddSighting(operation);
  }
  std::vector<Violation> violations;
  for (const Operation& operation : history) {
    if (operation.outcome != Outcome::kDone) continue;
    std::string what;
    if (operation.kind == OperationKind::kGet) what = checker.Judge(operation);
    if (operation.replaced != 0) what = checker.JudgeCondition(operation);
    if (!what.empty()) violations.push_back({operation, std::move(what)});
  }
  return violations;
}

}  // namespace larder::chaos
