// Requests made up for tests and benchmarks of the caches, and what to hold a cache against.
#ifndef LARDER_TESTS_SUPPORT_WORKLOADS_H_
#define LARDER_TESTS_SUPPORT_WORKLOADS_H_

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <list>
#include <queue>
#include <random>
#include <unordered_map>
#include <utility>
#include <vector>

namespace larder {

// Object ids 0 to objects - 1, of which id i is asked for with a probability proportional to (i + 1)^-exponent.
inline std::vector<uint32_t> ZipfTrace(size_t requests, size_t objects, double exponent, uint64_t seed) {
  std::vector<double> cumulative(objects);
  double sum = 0;
  for (size_t i = 0; i < objects; ++i) cumulative[i] = sum += std::pow(static_cast<double>(i + 1), -exponent);
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> uniform(0, sum);
  std::vector<uint32_t> trace(requests);
  for (uint32_t& id : trace) {
    const auto it = std::lower_bound(cumulative.begin(), cumulative.end() - 1, uniform(random));
    id = static_cast<uint32_t>(it - cumulative.begin());
  }
  return trace;
}

// Exact least-recently-used replacement over a number of equal objects.
class ExactLru {
 public:
  explicit ExactLru(size_t capacity) : capacity_(capacity) {}

  // True if it was a hit. The object is in afterwards.
  bool Access(uint32_t id) {
    const auto it = places_.find(id);
    if (it != places_.end()) {
      newest_first_.splice(newest_first_.begin(), newest_first_, it->second);
      return true;
    }
    if (places_.size() == capacity_) {
      places_.erase(newest_first_.back());
      newest_first_.pop_back();
    }
    newest_first_.push_front(id);
    places_[id] = newest_first_.begin();
    return false;
  }

 private:
  const size_t capacity_;
  std::list<uint32_t> newest_first_;
  std::unordered_map<uint32_t, std::list<uint32_t>::iterator> places_;
};

inline double LruHitRatio(const std::vector<uint32_t>& trace, size_t capacity) {
  ExactLru lru(capacity);
  const auto hits = std::count_if(trace.begin(), trace.end(), [&](uint32_t id) { return lru.Access(id); });
  return trace.empty() ? 0 : static_cast<double>(hits) / static_cast<double>(trace.size());
}

// Belady's bound: of what is there and what comes, the one is dropped that is asked for again last.
inline double OptHitRatio(const std::vector<uint32_t>& trace, size_t capacity) {
  const size_t never = trace.size();
  std::vector<size_t> next_use(trace.size());
  std::unordered_map<uint32_t, size_t> later;
  for (size_t i = trace.size(); i-- > 0;) {
    const auto [it, is_last] = later.try_emplace(trace[i], i);
    next_use[i] = is_last ? never : std::exchange(it->second, i);
  }
  std::unordered_map<uint32_t, size_t> held;                  // with their next uses
  std::priority_queue<std::pair<size_t, uint32_t>> farthest;  // of the held; those with another next use are void
  size_t hits = 0;
  for (size_t i = 0; i < trace.size(); ++i) {
    hits += held.erase(trace[i]);
    if (next_use[i] == never || capacity == 0) continue;
    held[trace[i]] = next_use[i];
    farthest.emplace(next_use[i], trace[i]);
    while (held.size() > capacity) {
      const auto [use, id] = farthest.top();
      farthest.pop();
      const auto it = held.find(id);
      if (it != held.end() && it->second == use) held.erase(it);
    }
  }
  return trace.empty() ? 0 : static_cast<double>(hits) / static_cast<double>(trace.size());
}

}  // namespace larder

#endif  // LARDER_TESTS_SUPPORT_WORKLOADS_H_
