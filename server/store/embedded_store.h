// The store in this process's own memory, used where no Redis is configured.
#ifndef LARDER_SERVER_STORE_EMBEDDED_STORE_H_
#define LARDER_SERVER_STORE_EMBEDDED_STORE_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/mutex.h"
#include "core/near_cache.h"
#include "server/store/lease_table.h"
#include "server/store/namespace_record.h"
#include "server/store/store.h"

namespace larder {

// Bounded in bytes; pushes entries out when it is full, and loses everything with the process. Answers every call
// before it returns, on the caller's thread and with no lock held. A namespace exists from its first use on. Of what a
// Read finds dead it answers nothing, and frees it.
//
// Leases and stamps are kept besides the bound on bytes: 32,768 leases at most, of which those that end the soonest
// give way, and as many stamps as the invalidations allow.
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
  void Lease(LeaseRequest request, StoreCallback<LeaseResult> done) override;
  void Release(ReleaseRequest request, StoreCallback<ReleaseResult> done) override;
  void InvalidateGroups(GroupRequest request, StoreCallback<GroupResult> done) override;
  void RaiseBarrier(std::string name_space, int64_t deadline_nanos, StoreCallback<ControlUpdate> done) override;
  void ReadControl(std::string name_space, ClockPosition known, int64_t deadline_nanos,
                   StoreCallback<ControlUpdate> done) override;
  void Look(LookRequest request, StoreCallback<LookResult> done) override;
  // INVALID_ARGUMENT where the cursor is none of its own.
  void Scan(ScanRequest request, StoreCallback<ScanResult> done) override;
  void EraseVersions(EraseVersionsRequest request, StoreCallback<EraseResult> done) override;
  void Sweep(SweepRequest request, StoreCallback<SweepResult> done) override;
  void EraseDead(EraseDeadRequest request, StoreCallback<EraseDeadResult> done) override;
  void ForgetOldStamps(std::string name_space, int64_t max_life_nanos, int64_t deadline_nanos,
                       StoreCallback<uint64_t> done) override;
  void PutNote(std::string name_space, std::string name, std::string text, int64_t ttl_nanos, int64_t deadline_nanos,
               StoreCallback<bool> done) override;
  void GetNote(std::string name_space, std::string name, int64_t deadline_nanos,
               StoreCallback<std::optional<std::string>> done) override;
  void SetWakeListener(WakeListener listener) override { wake_listener_ = std::move(listener); }
  void Describe(int64_t deadline_nanos, StoreCallback<StoreInfo> done) override;
  StoreInfo::State state() const override;
  bool exclusive() const override { return true; }
  void Shutdown() override { shut_down_.store(true); }

 private:
  static constexpr size_t kStripes = 64;
  static constexpr size_t kLeasesPerStripe = 512;

  // Held over the reading and writing of one key's entry and lease. One at a time; taken before the locks of the cache
  // and of the records.
  struct Stripe {
    Mutex mutex;
    LeaseTable leases ABSL_GUARDED_BY(mutex){kLeasesPerStripe};
  };

  // Where what is under a key lies.
  struct Place {
    std::string_view key;
    std::string cache_key;
    uint64_t hash;
    NamespaceRecord& record;
    Stripe& stripe;
  };

  // Tells the listener, at the end of its life, of leases that somebody waited for. Made before the stripe's lock is
  // taken, so that it ends after it.
  class Wakes {
   public:
    explicit Wakes(const EmbeddedStore* store) : store_(*store) {}
    ~Wakes();
    Wakes(const Wakes&) = delete;
    Wakes& operator=(const Wakes&) = delete;
    void Add(std::string cache_key) { cache_keys_.push_back(std::move(cache_key)); }

   private:
    const EmbeddedStore& store_;
    std::vector<std::string> cache_keys_;
  };

  // COHERENCE P3: no lease of the namespace is worth anything any more, so that nobody need wait for its end.
  void WakeAll(std::string_view name_space) const;

  // `key` must outlive the place.
  Place PlaceOf(std::string_view name_space, std::string_view key);

  // Why a call cannot be served any more; OK if it can.
  absl::Status CheckCall(int64_t deadline_nanos) const;

  absl::StatusOr<ReadResult> DoRead(const ReadRequest& request);
  absl::StatusOr<WriteResult> DoWrite(const WriteRequest& request);
  absl::StatusOr<TouchResult> DoTouch(const TouchRequest& request);
  absl::StatusOr<EraseResult> DoErase(const EraseRequest& request);
  absl::StatusOr<LeaseResult> DoLease(const LeaseRequest& request);
  absl::StatusOr<ReleaseResult> DoRelease(const ReleaseRequest& request);
  absl::StatusOr<LookResult> DoLook(const LookRequest& request);
  absl::StatusOr<ScanResult> DoScan(const ScanRequest& request);
  absl::StatusOr<EraseDeadResult> DoEraseDead(const EraseDeadRequest& request);
  absl::StatusOr<EraseResult> DoEraseVersions(const EraseVersionsRequest& request);

  // What each does under the stripe's lock. False: the namespace's record has changed meanwhile, nothing was done, and
  // it is to be tried again.
  bool TryWrite(const WriteRequest& request, const Place& place, Wakes* wakes, WriteResult* result)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(place.stripe.mutex);
  bool TryTouch(const TouchRequest& request, const Place& place, TouchResult* result)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(place.stripe.mutex);
  bool TrySoften(const Place& place, uint64_t new_version, EraseResult* result)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(place.stripe.mutex);
  bool TryLease(const LeaseRequest& request, const Place& place, Wakes* wakes, LeaseResult* result)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(place.stripe.mutex);
  bool TryRelease(const ReleaseRequest& request, const Place& place, uint64_t version)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(place.stripe.mutex);
  bool TryForgetLease(const Place& place, uint64_t version) ABSL_EXCLUSIVE_LOCKS_REQUIRED(place.stripe.mutex);

  // The entry that is there and not dead; one that is, or is of `dead_version`, is removed.
  EntryRef FindLive(const Place& place, uint64_t dead_version) ABSL_EXCLUSIVE_LOCKS_REQUIRED(place.stripe.mutex);
  // Puts the entry there, unless the record has changed since `seen`.
  bool Admit(const Place& place, uint64_t seen, EntryRef entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(place.stripe.mutex);

  // The lease to load what is missing, or the entry that is there; null if there is none by which anything could be
  // stored. Such a one is removed, and the entry put there anew without it.
  HeldLease* FindLease(const Place& place, const EntryRef& current, Wakes* wakes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(place.stripe.mutex);
  void EndLease(const Place& place, Wakes* wakes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(place.stripe.mutex);
  // Ends a lease by which nothing could be stored: whoever loads the key now may do so at once.
  void DropLease(const Place& place, Wakes* wakes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(place.stripe.mutex);
  bool MayFill(const WriteRequest& request, const Place& place, const EntryRef& current, Wakes* wakes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(place.stripe.mutex);

  const Clock* const clock_;
  WakeListener wake_listener_;
  NearCache cache_;
  NamespaceRecords records_;
  std::atomic<bool> shut_down_{false};
  std::array<Stripe, kStripes> stripes_;
};

}  // namespace larder

#endif  // LARDER_SERVER_STORE_EMBEDDED_STORE_H_
