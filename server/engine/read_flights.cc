#include "server/engine/read_flights.h"

#include <utility>

#include "core/planted.h"

namespace larder {

bool ReadFlights::Join(std::string_view key, uint64_t hash, uint64_t mark, int64_t sent_from_nanos, PendingGet& get) {
  Shard& shard = ShardFor(hash);
  MutexLock lock(&shard.mutex);
  const auto found = shard.flights.find(absl::string_view(key.data(), key.size()));
  if (found == shard.flights.end()) return false;
  ReadFlight& flight = *found->second;
  const bool is_recent = flight.mark == mark && flight.sent_nanos >= sent_from_nanos;
  if (!is_recent && !Planted(Bug::kJoinsOlderFlight)) return false;
  flight.gets.push_back(std::move(get));
  return true;
}

void ReadFlights::Begin(const std::shared_ptr<ReadFlight>& flight) {
  Shard& shard = ShardFor(flight->hash);
  MutexLock lock(&shard.mutex);
  shard.flights[flight->key] = flight;
  shard.all.insert(flight);
}

PendingGets ReadFlights::Land(ReadFlight& flight) {
  Shard& shard = ShardFor(flight.hash);
  MutexLock lock(&shard.mutex);
  const auto found = shard.flights.find(flight.key);
  if (found != shard.flights.end() && found->second.get() == &flight) shard.flights.erase(found);
  // The caller holds it too.
  const std::shared_ptr<ReadFlight> alias(std::shared_ptr<ReadFlight>(), &flight);
  shard.all.erase(alias);
  return std::move(flight.gets);
}

PendingGets ReadFlights::TakeOverdue(int64_t now_nanos, bool* more) {
  // Before the look: a flight that it does not see asks for the next one by itself.
  is_looked_after_.store(false, std::memory_order_release);
  *more = false;
  PendingGets overdue;
  for (Shard& shard : shards_) {
    MutexLock lock(&shard.mutex);
    for (const std::shared_ptr<ReadFlight>& flight : shard.all) {
      *more = true;
      std::erase_if(flight->gets, [&](PendingGet& get) {
        if (get.deadline_nanos > now_nanos) return false;
        overdue.push_back(std::move(get));
        return true;
      });
    }
  }
  return overdue;
}

}  // namespace larder
