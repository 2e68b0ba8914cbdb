#include "tests/unit/engine/simulation/sim_network.h"

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"
#include "tests/support/store_calls.h"
#include "tests/unit/engine/simulation/sim_link.h"

namespace larder::simulation {
namespace {

constexpr char kNamespace[] = "default";
// No tag of a client's begins so.
constexpr std::string_view kPatternTag = "\x01";
constexpr int kLostWakePercent = 20;

}  // namespace

SimNetwork::SimNetwork(Options options, ManualClock* clock, Rng* rng, Truth* truth, Counts* counts)
    : options_(std::move(options)),
      clock_(*clock),
      rng_(*rng),
      truth_(*truth),
      counts_(*counts),
      store_(clock, {.capacity_bytes = 4 << 20}),
      listeners_(static_cast<size_t>(options_.replicas)),
      connections_(static_cast<size_t>(options_.replicas * options_.connections)) {
  for (int i = 0; i < options_.replicas; ++i) links_.push_back(std::make_unique<SimLink>(this, i));
  store_.SetWakeListener([this](std::string_view name_space, std::string_view key) { OnWake(name_space, key); });
}

SimNetwork::~SimNetwork() = default;

int64_t SimNetwork::oldest_nanos() const {
  int64_t oldest = std::numeric_limits<int64_t>::max();
  for (const Connection& connection : connections_) {
    if (!connection.commands.empty()) oldest = std::min(oldest, connection.commands.front()->sent_nanos);
    if (!connection.answers.empty()) oldest = std::min(oldest, connection.answers.front().first->sent_nanos);
  }
  for (const auto& call : late_) oldest = std::min(oldest, call->sent_nanos);
  return oldest;
}

void SimNetwork::Send(int replica, std::shared_ptr<Call> call) {
  call->what = absl::StrCat("[", replica, "] ", call->what);
  call->sent_nanos = clock_.NowNanos();
  call->effects = operation;
  const size_t connection =
      static_cast<size_t>(replica * options_.connections) + rng_.Below(static_cast<size_t>(options_.connections));
  Log(absl::StrCat("  send ", call->what));
  connections_[connection].commands.push_back(std::move(call));
}

void SimNetwork::Execute() {
  Connection& connection = ChooseBusy(&Connection::commands);
  const std::shared_ptr<Call> call = std::move(connection.commands.front());
  connection.commands.pop_front();
  absl::Status status;
  if (options_.fault_percent > 0 && rng_.Chance(options_.fault_percent)) {
    ++counts_["faults"];
    status = absl::UnavailableError("lost");
    const size_t fate = rng_.Below(3);
    Log(absl::StrCat("fault ", fate, " ", call->what));
    if (fate == 0) call->execute();
    if (fate == 1) late_.push_back(call);
  } else {
    Log(absl::StrCat("execute ", call->what));
    call->execute();
  }
  connection.answers.emplace_back(call, status);
}

void SimNetwork::Answer() {
  Connection& connection = ChooseBusy(&Connection::answers);
  const auto [call, status] = std::move(connection.answers.front());
  connection.answers.pop_front();
  Log(absl::StrCat("answer ", call->what));
  operation = call->effects;
  call->answer(status);
  operation = nullptr;
}

void SimNetwork::ExecuteLate() {
  const auto chosen = late_.begin() + static_cast<std::ptrdiff_t>(rng_.Below(late_.size()));
  const std::shared_ptr<Call> call = std::move(*chosen);
  late_.erase(chosen);
  Log(absl::StrCat("execute late ", call->what));
  call->execute();
}

void SimNetwork::OnWake(std::string_view name_space, std::string_view key) {
  for (int i = 0; i < options_.replicas; ++i) {
    if (options_.lossy_wakes && rng_.Chance(kLostWakePercent)) {
      wakes_.push_back({i, "", ""});
      ++counts_["lost wakes"];
    } else {
      wakes_.push_back({i, std::string(name_space), std::string(key)});
    }
  }
}

void SimNetwork::Wake() {
  const auto chosen = wakes_.begin() + static_cast<std::ptrdiff_t>(rng_.Below(wakes_.size()));
  const WakeMessage message = std::move(*chosen);
  wakes_.erase(chosen);
  Log(absl::StrCat("wake [", message.replica, "] ", message.key));
  ++counts_["wakes"];
  listeners_[static_cast<size_t>(message.replica)](message.name_space, message.key);
}

void SimNetwork::RaiseBarrier() {
  Log("barrier");
  AllLeasesEnded();
  static_cast<void>(RaiseBarrierNow(store_, kNamespace));
}

void SimNetwork::HidePatterns(GroupRequest* request) {
  for (const std::string& pattern : request->patterns) request->tags.push_back(std::string(kPatternTag) + pattern);
  request->patterns.clear();
}

void SimNetwork::ShowPatterns(ControlUpdate* update) {
  const auto is_hidden = [](const Stamp& stamp) {
    return stamp.group == Stamp::Group::kTag && stamp.name.rfind(kPatternTag, 0) == 0;
  };
  if (std::none_of(update->stamps.begin(), update->stamps.end(), is_hidden)) return;
  const uint64_t floor = ReadControlNow(store_, kNamespace, {})->floor;
  std::vector<Stamp> shown;
  for (Stamp& stamp : update->stamps) {
    if (is_hidden(stamp)) {
      // Those that were swept are told no more.
      if (!stamp.soft && stamp.epoch <= floor) continue;
      stamp.group = Stamp::Group::kPattern;
      stamp.name.erase(0, kPatternTag.size());
    }
    shown.push_back(std::move(stamp));
  }
  update->stamps = std::move(shown);
}

void SimNetwork::WillLease(const LeaseRequest& request) {
  LookRequest look{.name_space = kNamespace, .keys = {request.key}, .known = {}, .deadline_nanos = 0};
  const absl::StatusOr<LookResult> found = LookNow(store_, look);
  asks_of_entry_ = !request.found_dead && found->items[0].kind == StoredItem::Kind::kEntry &&
                   found->items[0].head->meta().version == request.found_version;
}

// What is loaded anew may expire meanwhile; then it is missing, and another may load that.
void SimNetwork::Granted(const LeaseRequest& request) {
  const int64_t now = clock_.NowNanos();
  const auto held = held_.find(request.key);
  if (held != held_.end() && held->second.until_nanos > now && !(held->second.of_entry && !asks_of_entry_)) {
    violation_ = absl::StrCat("two leases of ", request.key, " at once");
  }
  held_[request.key] = {now + request.lease_nanos, asks_of_entry_};
}

}  // namespace larder::simulation
