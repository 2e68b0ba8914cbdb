#include "client/src/flights.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "core/clock.h"

namespace larder::internal {
namespace {

// Longer waits are waits for ever, and their nanoseconds would overflow.
constexpr std::chrono::milliseconds kLongestWait = std::chrono::hours(24);

}  // namespace

void Flight::Publish(FlightOutcome outcome) {
  MutexLock lock(&mutex_);
  outcome_ = std::move(outcome);
  published_.NotifyAll();
}

std::optional<FlightOutcome> Flight::Wait(std::chrono::milliseconds max_wait) {
  const SystemClock clock;
  const int64_t deadline = clock.NowNanos() + std::chrono::nanoseconds(std::min(max_wait, kLongestWait)).count();
  MutexLock lock(&mutex_);
  while (!outcome_.has_value()) {
    const int64_t left = deadline - clock.NowNanos();
    if (left <= 0) return std::nullopt;
    published_.WaitFor(&mutex_, left);
  }
  return outcome_;
}

Flights::Place Flights::Board(std::string_view name_space, std::string_view key, bool alone, const Flight* unwanted) {
  MutexLock lock(&mutex_);
  KeyState& state = spaces_[std::string(name_space)][std::string(key)];
  const bool wanted = !alone && state.open != nullptr && state.open.get() != unwanted;
  if (wanted && !state.open->IsClosed(SystemClock().NowNanos())) return {state.open, false};
  state.open = std::make_shared<Flight>(name_space, key);
  state.unsealed.push_back(state.open.get());
  return {state.open, true};
}

Flights::KeyState* Flights::Find(const Flight& flight) {
  const auto space = spaces_.find(flight.name_space());
  if (space == spaces_.end()) return nullptr;
  const auto state = space->second.find(flight.key());
  return state == space->second.end() ? nullptr : &state->second;
}

bool Flights::BeginFill(const Flight& flight) {
  MutexLock lock(&mutex_);
  KeyState* state = Find(flight);
  if (state == nullptr) return false;
  const auto found = std::find(state->unsealed.begin(), state->unsealed.end(), &flight);
  if (found == state->unsealed.end()) return false;
  state->fills.push_back({&flight, {}});
  return true;
}

void Flights::End(const Flight& flight) {
  std::vector<std::shared_ptr<HeldWrite>> free;
  {
    MutexLock lock(&mutex_);
    KeyState* state = Find(flight);
    if (state == nullptr) return;
    if (state->open.get() == &flight) state->open.reset();
    std::erase(state->unsealed, &flight);
    const auto fill = std::find_if(state->fills.begin(), state->fills.end(),
                                   [&](const Filling& filling) { return filling.flight == &flight; });
    if (fill != state->fills.end()) {
      for (std::shared_ptr<HeldWrite>& write : fill->held) {
        if (--write->fills == 0) free.push_back(std::move(write));
      }
      state->fills.erase(fill);
    }
    if (state->Unused()) {
      const auto space = spaces_.find(flight.name_space());
      space->second.erase(flight.key());
      if (space->second.empty()) spaces_.erase(space);
    }
  }
  for (const std::shared_ptr<HeldWrite>& write : free) std::move(write->send)();
}

void Flights::SealEach(const WriteScope& scope, absl::FunctionRef<void(Filling&)> visit) {
  const auto space = spaces_.find(scope.name_space);
  if (space == spaces_.end()) return;
  Keys& keys = space->second;
  const auto seal = [&](Keys::iterator at) {
    at->second.open.reset();
    at->second.unsealed.clear();
    for (Filling& filling : at->second.fills) visit(filling);
    return at->second.Unused() ? keys.erase(at) : std::next(at);
  };
  if (scope.all) {
    for (auto at = keys.begin(); at != keys.end();) at = seal(at);
  } else {
    if (scope.groups) {
      for (auto& [key, state] : keys) state.open.reset();
    }
    for (const std::string& key : scope.keys) {
      if (const auto at = keys.find(key); at != keys.end()) seal(at);
    }
  }
  if (keys.empty()) spaces_.erase(space);
}

void Flights::BeforeWrite(const WriteScope& scope, absl::AnyInvocable<void() &&> send) {
  {
    std::shared_ptr<HeldWrite> held;
    MutexLock lock(&mutex_);
    SealEach(scope, [&](Filling& filling) {
      if (held == nullptr) held = std::make_shared<HeldWrite>();
      ++held->fills;
      filling.held.push_back(held);
    });
    if (held != nullptr) {
      held->send = std::move(send);
      return;
    }
  }
  std::move(send)();
}

void Flights::Seal(const WriteScope& scope) {
  MutexLock lock(&mutex_);
  SealEach(scope, [](Filling&) {});
}

}  // namespace larder::internal
