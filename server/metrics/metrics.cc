#include "server/metrics/metrics.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cmath>

namespace larder {
namespace {

// A power of two. More threads than this share cells, which costs them time and nothing else.
constexpr size_t kCells = 16;
constexpr size_t kCacheLineBytes = 64;

// Threads that are started one after another have consecutive ids, and so cells of their own.
size_t CellOfThisThread() {
  thread_local const size_t cell = static_cast<size_t>(gettid()) % kCells;
  return cell;
}

// Log-linear: durations below 16 ns have a bucket each; above, each power of two is cut into 16 buckets of equal width,
// so that a bucket is at most a sixteenth (6.25 %) wider than where it starts. The last one takes what is longer.
constexpr int kSubBucketBits = 4;
constexpr size_t kSubBuckets = size_t{1} << kSubBucketBits;
constexpr int kMaxBits = 42;  // 2^42 ns: 73 minutes
constexpr size_t kBuckets = kSubBuckets * (kMaxBits - kSubBucketBits + 1);

size_t BucketOf(uint64_t nanos) {
  if (nanos < kSubBuckets) return nanos;
  const int bits = static_cast<int>(std::bit_width(nanos));
  if (bits > kMaxBits) return kBuckets - 1;
  const int shift = bits - 1 - kSubBucketBits;
  return kSubBuckets * static_cast<size_t>(shift) + static_cast<size_t>(nanos >> shift);
}

// The shortest duration that falls into the bucket.
uint64_t StartOf(size_t bucket) {
  if (bucket < 2 * kSubBuckets) return bucket;
  const size_t shift = bucket / kSubBuckets - 1;
  return static_cast<uint64_t>(kSubBuckets + bucket % kSubBuckets) << shift;
}

}  // namespace

struct alignas(kCacheLineBytes) Counter::Cell {
  std::atomic<uint64_t> value{0};
};

Counter::Counter() : cells_(new Cell[kCells]) {}

Counter::~Counter() = default;

void Counter::Add(uint64_t n) { cells_[CellOfThisThread()].value.fetch_add(n, std::memory_order_relaxed); }

uint64_t Counter::Value() const {
  uint64_t sum = 0;
  for (size_t i = 0; i < kCells; ++i) sum += cells_[i].value.load(std::memory_order_relaxed);
  return sum;
}

// Five kilobytes of buckets, allocated when a thread of this cell first records: most histograms are written by few
// threads, and there are several for each namespace.
struct alignas(kCacheLineBytes) Histogram::Cell {
  struct Data {
    std::array<std::atomic<uint64_t>, kBuckets> buckets{};
    std::atomic<uint64_t> sum_nanos{0};
  };

  ~Cell() { delete data.load(std::memory_order_relaxed); }

  Data& GetOrMake() {
    Data* present = data.load(std::memory_order_acquire);
    if (present != nullptr) return *present;
    auto made = std::make_unique<Data>();
    if (data.compare_exchange_strong(present, made.get(), std::memory_order_acq_rel, std::memory_order_acquire)) {
      return *made.release();
    }
    return *present;
  }

  std::atomic<Data*> data{nullptr};
};

Histogram::Histogram() : cells_(new Cell[kCells]) {}

Histogram::~Histogram() = default;

void Histogram::Record(int64_t nanos) {
  const auto duration = static_cast<uint64_t>(std::max<int64_t>(nanos, 0));
  Cell::Data& data = cells_[CellOfThisThread()].GetOrMake();
  data.buckets[BucketOf(duration)].fetch_add(1, std::memory_order_relaxed);
  data.sum_nanos.fetch_add(duration, std::memory_order_relaxed);
}

HistogramSnapshot Histogram::Snapshot() const {
  HistogramSnapshot snapshot;
  snapshot.buckets.resize(kBuckets);
  for (size_t i = 0; i < kCells; ++i) {
    const Cell::Data* data = cells_[i].data.load(std::memory_order_acquire);
    if (data == nullptr) continue;
    snapshot.sum_nanos += data->sum_nanos.load(std::memory_order_relaxed);
    for (size_t b = 0; b < kBuckets; ++b) snapshot.buckets[b] += data->buckets[b].load(std::memory_order_relaxed);
  }
  return snapshot;
}

uint64_t HistogramSnapshot::count() const {
  uint64_t sum = 0;
  for (const uint64_t records : buckets) sum += records;
  return sum;
}

double HistogramSnapshot::sum_seconds() const { return static_cast<double>(sum_nanos) * 1e-9; }

double HistogramSnapshot::QuantileNanos(double q) const {
  const uint64_t total = count();
  if (total == 0) return 0;
  // The rank of the record looked for, from 1.
  const double rank = std::max(1.0, std::ceil(std::clamp(q, 0.0, 1.0) * static_cast<double>(total)));
  double before = 0;
  size_t last = 0;
  for (size_t b = 0; b < buckets.size(); ++b) {
    if (buckets[b] == 0) continue;
    last = b;
    const auto here = static_cast<double>(buckets[b]);
    if (before + here >= rank) {
      const auto start = static_cast<double>(StartOf(b));
      const auto width = static_cast<double>(StartOf(b + 1) - StartOf(b) - 1);
      return start + width * (rank - before - 0.5) / here;
    }
    before += here;
  }
  return static_cast<double>(StartOf(last));
}

uint64_t HistogramSnapshot::CountAtMost(int64_t nanos) const {
  if (nanos < 0) return 0;
  const size_t end = std::min(buckets.size(), BucketOf(static_cast<uint64_t>(nanos)) + 1);
  uint64_t sum = 0;
  for (size_t b = 0; b < end; ++b) sum += buckets[b];
  return sum;
}

void HistogramSnapshot::Merge(const HistogramSnapshot& other) {
  if (buckets.size() < other.buckets.size()) buckets.resize(other.buckets.size());
  for (size_t b = 0; b < other.buckets.size(); ++b) buckets[b] += other.buckets[b];
  sum_nanos += other.sum_nanos;
}

}  // namespace larder
