#include "server/engine/read_flights.h"

#include <utility>

namespace larder {

bool ReadFlights::Join(std::string_view key, uint64_t hash, uint64_t mark, int64_t sent_from_nanos, PendingGet& get) {
  Shard& shard = ShardFor(hash);
  MutexLock lock(&shard.mutex);
  const auto found = shard.flights.find(absl::string_view(key.data(), key.size()));
  if (found == shard.flights.end()) return false;
  ReadFlight& flight = *found->second;
  if (flight.mark != mark || flight.sent_nanos < sent_from_nanos) return false;
  flight.gets.push_back(std::move(get));
  return true;
}

void ReadFlights::Begin(const std::shared_ptr<ReadFlight>& flight) {
  Shard& shard = ShardFor(flight->hash);
  MutexLock lock(&shard.mutex);
  shard.flights[flight->key] = flight;
}

PendingGets ReadFlights::Land(ReadFlight& flight) {
  Shard& shard = ShardFor(flight.hash);
  MutexLock lock(&shard.mutex);
  const auto found = shard.flights.find(flight.key);
  if (found != shard.flights.end() && found->second.get() == &flight) shard.flights.erase(found);
  return std::move(flight.gets);
}

}  // namespace larder
