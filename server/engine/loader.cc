#include "server/engine/loader.h"

#include <algorithm>
#include <utility>

#include "server/engine/keyspace.h"

namespace larder {
namespace {

// How often a Get is read for again because others changed the key meanwhile, before it is answered with a miss.
constexpr int kMaxRounds = 8;

}  // namespace

bool Loader::IsFull() const {
  return waiting_.load(std::memory_order_relaxed) >= static_cast<int64_t>(parts_.space->policy().max_waiters);
}

Loader::Room* Loader::Open(const std::string& key, Found found) {
  const auto [room, is_new] = rooms_.try_emplace(key);
  if (!is_new) return nullptr;
  room->second.id = ++last_id_;
  room->second.found = found;
  open_.store(rooms_.size(), std::memory_order_relaxed);
  return &room->second;
}

void Loader::Enter(const std::string& key, Room& room, PendingGet get) {
  const uint64_t ticket = ++last_id_;
  // One that does not wait at all is answered as soon as it is known whether it gets the lease.
  if (get.wait_until_nanos > parts_.clock->NowNanos()) SetAlarm(get.wait_until_nanos, ticket, key, room.id);
  room.waiters.push_back({ticket, std::move(get)});
  waiting_.fetch_add(1, std::memory_order_relaxed);
}

PendingGet Loader::TakeOut(Waiter& waiter) {
  alarms_.erase({waiter.get.wait_until_nanos, waiter.ticket});
  waiting_.fetch_sub(1, std::memory_order_relaxed);
  return std::move(waiter.get);
}

PendingGets Loader::TakeOutOverdue(Room& room, int64_t now) {
  PendingGets overdue;
  std::erase_if(room.waiters, [&](Waiter& waiter) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (waiter.get.wait_until_nanos > now) return false;
    overdue.push_back(TakeOut(waiter));
    return true;
  });
  return overdue;
}

PendingGets Loader::Close(Rooms::iterator room) {
  PendingGets gets;
  gets.reserve(room->second.waiters.size());
  for (Waiter& waiter : room->second.waiters) gets.push_back(TakeOut(waiter));
  alarms_.erase({room->second.held_until_nanos, room->second.id});
  rooms_.erase(room);
  open_.store(rooms_.size(), std::memory_order_relaxed);
  return gets;
}

Loader::Rooms::iterator Loader::FindRoom(const std::string& key, uint64_t id, Room::State state) {
  const auto found = rooms_.find(key);
  return found != rooms_.end() && found->second.id == id && found->second.state == state ? found : rooms_.end();
}

void Loader::CountWait(PendingGet& get) {
  if (!std::exchange(get.is_counted_as_waiting, true)) parts_.space->metrics().waits.Add();
}

bool Loader::Join(std::string_view key, PendingGet& get) {
  if (open_.load(std::memory_order_relaxed) == 0) return false;
  if (get.from_store || get.wait_until_nanos <= get.started_nanos || (!get.wants_lease && !has_origin())) return false;
  MutexLock lock(&mutex_);
  const auto room = rooms_.find(absl::string_view(key.data(), key.size()));
  if (room == rooms_.end() || stopped_ || IsFull()) return false;
  // While something is loaded anew there is an entry to be served, but not to those who want a fresh one.
  if (room->second.found.is_servable() && !get.fresh_only) return false;
  CountWait(get);
  Enter(room->first, room->second, std::move(get));
  return true;
}

void Loader::Miss(std::string key, Found found, PendingGets gets) {
  const int64_t now = parts_.clock->NowNanos();
  PendingGets refused;
  std::optional<FillToken> as_of;
  uint64_t opened = 0;
  {
    MutexLock lock(&mutex_);
    for (PendingGet& get : gets) {
      if (stopped_ || get.rounds >= kMaxRounds || (!get.wants_lease && !has_origin())) {
        refused.push_back(std::move(get));
        continue;
      }
      // Asking for the lease is waiting for nobody, so that it is free to the first even where too many wait.
      if (Room* room = Open(key, found)) {
        opened = room->id;
        Enter(key, *room, std::move(get));
        continue;
      }
      Room& room = rooms_.find(key)->second;
      const bool waits = get.wait_until_nanos > now;
      if (room.state == Room::State::kAsking || (waits && !IsFull())) {
        if (waits) CountWait(get);
        Enter(key, room, std::move(get));
        continue;
      }
      if (waits) parts_.space->metrics().waits_refused.Add();
      as_of = room.as_of;
      refused.push_back(std::move(get));
    }
  }
  for (PendingGet& get : refused) AnswerMiss(std::move(get), as_of);
  if (opened != 0) AskForLease(std::move(key), opened, found);
}

void Loader::AnswerMiss(PendingGet get, std::optional<FillToken> as_of) {
  parts_.space->metrics().misses.Add();
  parts_.space->metrics().miss_latency.Record(parts_.clock->NowNanos() - get.started_nanos);
  GetAnswer answer;
  if (get.wants_lease) answer.as_of = as_of;
  std::move(get.done)(std::move(answer));
}

void Loader::ReadAgain(std::string key, PendingGets gets) {
  if (gets.empty()) return;
  for (PendingGet& get : gets) ++get.rounds;
  parts_.read_again(std::move(key), std::move(gets));
}

// --- Waking ---

void Loader::Wake(std::string_view key) {
  if (open_.load(std::memory_order_relaxed) == 0) return;
  std::vector<std::pair<std::string, PendingGets>> woken;
  {
    MutexLock lock(&mutex_);
    for (auto room = rooms_.begin(); room != rooms_.end();) {
      if (!key.empty()) room = rooms_.find(absl::string_view(key.data(), key.size()));
      if (room == rooms_.end()) break;
      const auto next = std::next(room);
      room->second.woken = true;
      if (room->second.state == Room::State::kHeld) {
        std::string name = room->first;
        woken.emplace_back(std::move(name), Close(room));
      }
      if (!key.empty()) break;
      room = next;
    }
  }
  for (auto& [name, gets] : woken) ReadAgain(std::move(name), std::move(gets));
}

void Loader::SetAlarm(int64_t when_nanos, uint64_t ticket, const std::string& key, uint64_t room) {
  alarms_.try_emplace({when_nanos, ticket}, Alarm{key, room});
  if (when_nanos >= armed_nanos_) return;
  armed_nanos_ = when_nanos;
  parts_.scheduler->At(when_nanos, [this] { Ring(); });
}

void Loader::Ring() {
  const int64_t now = parts_.clock->NowNanos();
  std::vector<std::pair<PendingGet, std::optional<FillToken>>> waited;
  std::vector<std::pair<std::string, PendingGets>> freed;
  {
    MutexLock lock(&mutex_);
    while (!alarms_.empty() && alarms_.begin()->first.first <= now) {
      const uint64_t ticket = alarms_.begin()->first.second;
      const Alarm alarm = std::move(alarms_.begin()->second);
      alarms_.erase(alarms_.begin());
      const auto room = rooms_.find(alarm.key);
      // While the store is being asked, its answer is all that anybody waits for, and that is near.
      if (room == rooms_.end() || room->second.id != alarm.room || room->second.state == Room::State::kAsking) continue;
      if (ticket == room->second.id) {
        // Who had the lease may have filled the key just before it ended.
        freed.emplace_back(alarm.key, Close(room));
        continue;
      }
      std::vector<Waiter>& waiters = room->second.waiters;
      const auto waiter =
          std::find_if(waiters.begin(), waiters.end(), [ticket](auto& w) { return w.ticket == ticket; });
      if (waiter == waiters.end()) continue;
      waited.emplace_back(TakeOut(*waiter), room->second.as_of);
      waiters.erase(waiter);
      if (waiters.empty() && room->second.state == Room::State::kHeld) Close(room);
    }
    armed_nanos_ = kNever;
    if (!alarms_.empty()) {
      armed_nanos_ = alarms_.begin()->first.first;
      parts_.scheduler->At(armed_nanos_, [this] { Ring(); });
    }
  }
  for (auto& [get, as_of] : waited) AnswerMiss(std::move(get), as_of);
  for (auto& [key, gets] : freed) ReadAgain(std::move(key), std::move(gets));
}

void Loader::StopWaiting() {
  PendingGets all;
  {
    MutexLock lock(&mutex_);
    stopped_ = true;
    for (auto& [key, room] : rooms_) {
      for (Waiter& waiter : room.waiters) all.push_back(TakeOut(waiter));
      room.waiters.clear();
    }
  }
  for (PendingGet& get : all) AnswerMiss(std::move(get));
}

}  // namespace larder
