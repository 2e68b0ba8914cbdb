// The store in this process's own memory, used where no Redis is configured.
#ifndef LARDER_SERVER_STORE_EMBEDDED_STORE_H_
#define LARDER_SERVER_STORE_EMBEDDED_STORE_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>

#include "core/clock.h"
#include "core/mutex.h"
#include "core/near_cache.h"
#include "server/store/store.h"

namespace larder {

// Bounded in bytes; pushes entries out when it is full, and loses everything with the process. Answers every call
// before it returns, on the caller's thread and with no lock held. A namespace exists from its first use on.
//
// An invalidation of a whole namespace frees no memory by itself: a dead entry goes when it is read, or is pushed
// out by later writes like any other.
class EmbeddedStore final : public Store {
 public:
  struct Options {
    size_t capacity_bytes = 0;  // keys, values and overhead
  };

  // `clock` must outlive the store.
  EmbeddedStore(const Clock* clock, const Options& options);

  void Read(ReadRequest request, StoreCallback<ReadResult> done) override;
  // INVALID_ARGUMENT where the entry is larger than the store can hold.
  void Write(WriteRequest request, StoreCallback<WriteResult> done) override;
  void Touch(TouchRequest request, StoreCallback<TouchResult> done) override;
  void Erase(EraseRequest request, StoreCallback<EraseResult> done) override;
  void InvalidateAll(std::string name_space, ClockPosition known, int64_t deadline_nanos,
                     StoreCallback<ControlUpdate> done) override;
  void RaiseBarrier(std::string name_space, int64_t deadline_nanos, StoreCallback<ControlUpdate> done) override;
  void ReadControl(std::string name_space, ClockPosition known, int64_t deadline_nanos,
                   StoreCallback<ControlUpdate> done) override;
  void Describe(int64_t deadline_nanos, StoreCallback<StoreInfo> done) override;
  StoreInfo::State state() const override;
  bool exclusive() const override { return true; }
  void Shutdown() override { shut_down_.store(true); }

 private:
  // A namespace's control record (COHERENCE C1).
  struct ControlRecord {
    uint64_t generation = 0;
    uint64_t epoch = 1;
    uint64_t all_stamp = 0;
  };

  static constexpr size_t kStripes = 64;

  // The key in the cache. Names of namespaces hold no NUL.
  static std::string CacheKey(std::string_view name_space, std::string_view key);

  // Why a call cannot be served any more; OK if it can.
  absl::Status CheckCall(int64_t deadline_nanos) const;

  ControlRecord& RecordOf(const std::string& name_space) ABSL_EXCLUSIVE_LOCKS_REQUIRED(control_mutex_);
  ControlRecord Snapshot(const std::string& name_space, ClockPosition known, ControlUpdate* update);
  ControlUpdate UpdateFor(const ControlRecord& record, ClockPosition known)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(control_mutex_);

  Mutex& StripeFor(uint64_t hash) { return stripes_[(hash >> 32) % kStripes]; }
  EntryRef FindValid(const std::string& cache_key, uint64_t hash, const ControlRecord& control);
  void EraseDead(const std::string& cache_key, uint64_t hash, const EntryRef& dead);

  absl::StatusOr<ReadResult> DoRead(const ReadRequest& request);
  absl::StatusOr<WriteResult> DoWrite(WriteRequest request);
  absl::StatusOr<TouchResult> DoTouch(const TouchRequest& request);
  absl::StatusOr<EraseResult> DoErase(const EraseRequest& request);

  const Clock* const clock_;
  NearCache cache_;
  std::atomic<bool> shut_down_{false};

  // Held over the reading and writing of one key's entry. Taken before control_mutex_, and one at a time.
  std::array<Mutex, kStripes> stripes_;

  Mutex control_mutex_;
  std::map<std::string, ControlRecord, std::less<>> records_ ABSL_GUARDED_BY(control_mutex_);
  uint64_t sequence_ ABSL_GUARDED_BY(control_mutex_) = 0;
};

}  // namespace larder

#endif  // LARDER_SERVER_STORE_EMBEDDED_STORE_H_
