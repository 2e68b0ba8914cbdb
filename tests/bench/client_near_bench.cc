#include <algorithm>
#include <barrier>
#include <chrono>
#include <functional>
#include <memory>
#include <numeric>
#include <random>
#include <thread>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "core/clock.h"
#include "tests/bench/client_bench.h"
#include "tests/support/eventually.h"
#include "tests/support/workloads.h"

namespace larder::bench {
namespace {

constexpr size_t kNearBytes = size_t{256} << 20;
constexpr size_t kBatch = 1000;

using Map = absl::flat_hash_map<std::string, std::string>;
using Order = std::vector<uint32_t>;  // indices of entries

// Popular entries are spread over all of them, as their keys and places in memory are in an application.
Order MakeOrder(size_t gets, size_t entries, double skew, uint64_t seed) {
  Order places(entries);
  std::iota(places.begin(), places.end(), 0);
  std::shuffle(places.begin(), places.end(), std::mt19937_64(7));
  Order order = ZipfTrace(gets, entries, skew, seed);
  for (uint32_t& each : order) each = places[each];
  return order;
}

std::vector<Order> MakeOrders(const Settings& settings, double skew, int threads) {
  std::vector<Order> orders;
  for (int i = 0; i < threads; ++i) orders.push_back(MakeOrder(settings.near_gets, settings.keys, skew, 1 + i));
  return orders;
}

// Nanoseconds that each thread takes for one element of its order, on average.
double TimeOnThreads(const std::vector<Order>& orders, const std::function<void(const Order&)>& run) {
  std::vector<double> nanos(orders.size());
  std::barrier start(static_cast<std::ptrdiff_t>(orders.size()));
  {
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < orders.size(); ++i) {
      threads.emplace_back([&, i] {
        start.arrive_and_wait();
        const int64_t began = SystemClock().NowNanos();
        run(orders[i]);
        nanos[i] = static_cast<double>(SystemClock().NowNanos() - began) / static_cast<double>(orders[i].size());
      });
    }
  }
  return std::accumulate(nanos.begin(), nanos.end(), 0.0) / static_cast<double>(nanos.size());
}

void FindAll(const Map& map, const Entries& entries, const Order& order) {
  for (const uint32_t i : order) {
    const auto found = map.find(entries.keys()[i]);
    if (found == map.end() || !entries.IsValueOf(i, found->second)) Die("the hash table has not what it was given");
  }
}

void GetAll(Client* client, const Entries& entries, const Order& order) {
  for (const uint32_t i : order) {
    const absl::StatusOr<MaybeHit> read = client->Get(entries.keys()[i]);
    if (!read.ok() || !read->has_value()) Die(absl::StrCat("no hit of ", entries.keys()[i]));
    if ((*read)->tier != Tier::kClient) Die(absl::StrCat(entries.keys()[i], " came from the service"));
    if (!entries.IsValueOf(i, (*read)->value.bytes())) Die(absl::StrCat("a wrong value of ", entries.keys()[i]));
  }
}

// Reads all entries; true if each one came, whole and right, from the near cache.
bool IsLoaded(Client* client, const Entries& entries) {
  bool all_near = true;
  for (size_t at = 0; at < entries.keys().size(); at += kBatch) {
    const size_t end = std::min(at + kBatch, entries.keys().size());
    const absl::StatusOr<BatchGetResults> reads =
        client->BatchGet({entries.keys().begin() + static_cast<std::ptrdiff_t>(at),
                          entries.keys().begin() + static_cast<std::ptrdiff_t>(end)});
    if (!reads.ok()) Die(reads.status().ToString());
    for (size_t i = at; i < end; ++i) {
      const absl::StatusOr<MaybeHit>& read = (*reads)[i - at];
      if (!read.ok() || !read->has_value()) Die(absl::StrCat("no hit of ", entries.keys()[i]));
      if ((*read)->value.bytes() != entries.values()[i]) Die(absl::StrCat("a wrong value of ", entries.keys()[i]));
      all_near = all_near && (*read)->tier == Tier::kClient;
    }
  }
  return all_near;
}

}  // namespace

Outcome MeasureNear(const Settings& settings, const Entries& entries, const LarderServer& server, double skew,
                    int threads) {
  ClientOptions options;
  options.near.capacity_bytes = kNearBytes;
  options.near.max_age = std::chrono::milliseconds(1);  // so that hits rest on Watch, as they do by default
  const std::unique_ptr<Client> client = ConnectOrDie(server, options);
  if (!Eventually([&] { return IsLoaded(client.get(), entries); })) Die("the near cache does not fill");
  Map map;
  for (size_t i = 0; i < entries.keys().size(); ++i) map[entries.keys()[i]] = entries.values()[i];

  const std::vector<Order> orders = MakeOrders(settings, skew, threads);
  std::vector<double> hits, finds;
  for (int lap = 0; lap <= settings.laps; ++lap) {
    const double find = TimeOnThreads(orders, [&](const Order& order) { FindAll(map, entries, order); });
    const double hit = TimeOnThreads(orders, [&](const Order& order) { GetAll(client.get(), entries, order); });
    if (lap == 0) continue;  // to warm up
    finds.push_back(find);
    hits.push_back(hit);
  }
  return {.ratio = Median(hits) / Median(finds), .absolute = {{"hit_ns", Median(hits)}, {"find_ns", Median(finds)}}};
}

}  // namespace larder::bench
