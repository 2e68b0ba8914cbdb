// The store's asynchronous calls, waited for.
#ifndef LARDER_TESTS_SUPPORT_STORE_CALLS_H_
#define LARDER_TESTS_SUPPORT_STORE_CALLS_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "core/mutex.h"
#include "server/store/store.h"

namespace larder {

// Takes one call's result, on whichever thread it comes.
template <typename T>
class CallResult {
 public:
  StoreCallback<T> Callback() {
    return [slot = slot_](absl::StatusOr<T> result) {
      MutexLock lock(&slot->mutex);
      slot->result = std::move(result);
      slot->done.NotifyAll();
    };
  }

  bool Done() const {
    MutexLock lock(&slot_->mutex);
    return slot_->result.has_value();
  }

  // Blocks until it is there. Once.
  absl::StatusOr<T> Wait() {
    MutexLock lock(&slot_->mutex);
    while (!slot_->result.has_value()) slot_->done.Wait(&slot_->mutex);
    return *std::move(slot_->result);
  }

 private:
  struct Slot {
    Mutex mutex;
    CondVar done;
    std::optional<absl::StatusOr<T>> result;
  };
  std::shared_ptr<Slot> slot_ = std::make_shared<Slot>();
};

inline absl::StatusOr<ReadResult> ReadNow(Store& store, ReadRequest request) {
  CallResult<ReadResult> result;
  store.Read(std::move(request), result.Callback());
  return result.Wait();
}

inline absl::StatusOr<WriteResult> WriteNow(Store& store, WriteRequest request) {
  CallResult<WriteResult> result;
  store.Write(std::move(request), result.Callback());
  return result.Wait();
}

inline absl::StatusOr<TouchResult> TouchNow(Store& store, TouchRequest request) {
  CallResult<TouchResult> result;
  store.Touch(std::move(request), result.Callback());
  return result.Wait();
}

inline absl::StatusOr<EraseResult> EraseNow(Store& store, EraseRequest request) {
  CallResult<EraseResult> result;
  store.Erase(std::move(request), result.Callback());
  return result.Wait();
}

inline absl::StatusOr<LeaseResult> LeaseNow(Store& store, LeaseRequest request) {
  CallResult<LeaseResult> result;
  store.Lease(std::move(request), result.Callback());
  return result.Wait();
}

inline absl::StatusOr<ReleaseResult> ReleaseNow(Store& store, ReleaseRequest request) {
  CallResult<ReleaseResult> result;
  store.Release(std::move(request), result.Callback());
  return result.Wait();
}

inline absl::StatusOr<GroupResult> InvalidateGroupsNow(Store& store, GroupRequest request) {
  CallResult<GroupResult> result;
  store.InvalidateGroups(std::move(request), result.Callback());
  return result.Wait();
}

// The whole namespace, hard.
inline absl::StatusOr<ControlUpdate> InvalidateAllNow(Store& store, std::string name_space, ClockPosition known) {
  GroupRequest request;
  request.name_space = std::move(name_space);
  request.all = true;
  request.known = known;
  absl::StatusOr<GroupResult> result = InvalidateGroupsNow(store, std::move(request));
  if (!result.ok()) return result.status();
  return result->control;
}

inline absl::StatusOr<ControlUpdate> RaiseBarrierNow(Store& store, std::string name_space) {
  CallResult<ControlUpdate> result;
  store.RaiseBarrier(std::move(name_space), 0, result.Callback());
  return result.Wait();
}

inline absl::StatusOr<ControlUpdate> ReadControlNow(Store& store, std::string name_space, ClockPosition known) {
  CallResult<ControlUpdate> result;
  store.ReadControl(std::move(name_space), known, 0, result.Callback());
  return result.Wait();
}

inline absl::StatusOr<LookResult> LookNow(Store& store, LookRequest request) {
  CallResult<LookResult> result;
  store.Look(std::move(request), result.Callback());
  return result.Wait();
}

inline absl::StatusOr<ScanResult> ScanNow(Store& store, ScanRequest request) {
  CallResult<ScanResult> result;
  store.Scan(std::move(request), result.Callback());
  return result.Wait();
}

inline absl::StatusOr<EraseDeadResult> EraseDeadNow(Store& store, EraseDeadRequest request) {
  CallResult<EraseDeadResult> result;
  store.EraseDead(std::move(request), result.Callback());
  return result.Wait();
}

inline absl::StatusOr<EraseResult> EraseVersionsNow(Store& store, EraseVersionsRequest request) {
  CallResult<EraseResult> result;
  store.EraseVersions(std::move(request), result.Callback());
  return result.Wait();
}

inline absl::StatusOr<SweepResult> SweepNow(Store& store, SweepRequest request) {
  CallResult<SweepResult> result;
  store.Sweep(std::move(request), result.Callback());
  return result.Wait();
}

inline absl::StatusOr<uint64_t> ForgetOldStampsNow(Store& store, std::string name_space, int64_t max_life_nanos) {
  CallResult<uint64_t> result;
  store.ForgetOldStamps(std::move(name_space), max_life_nanos, 0, result.Callback());
  return result.Wait();
}

inline absl::StatusOr<bool> PutNoteNow(Store& store, std::string name_space, std::string name, std::string text,
                                       int64_t ttl_nanos) {
  CallResult<bool> result;
  store.PutNote(std::move(name_space), std::move(name), std::move(text), ttl_nanos, 0, result.Callback());
  return result.Wait();
}

inline absl::StatusOr<std::optional<std::string>> GetNoteNow(Store& store, std::string name_space, std::string name) {
  CallResult<std::optional<std::string>> result;
  store.GetNote(std::move(name_space), std::move(name), 0, result.Callback());
  return result.Wait();
}

inline absl::StatusOr<StoreInfo> DescribeNow(Store& store) {
  CallResult<StoreInfo> result;
  store.Describe(0, result.Callback());
  return result.Wait();
}

}  // namespace larder

#endif  // LARDER_TESTS_SUPPORT_STORE_CALLS_H_
