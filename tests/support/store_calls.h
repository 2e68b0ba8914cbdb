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

inline absl::StatusOr<ControlUpdate> InvalidateAllNow(Store& store, std::string name_space, ClockPosition known) {
  CallResult<ControlUpdate> result;
  store.InvalidateAll(std::move(name_space), known, 0, result.Callback());
  return result.Wait();
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

inline absl::StatusOr<StoreInfo> DescribeNow(Store& store) {
  CallResult<StoreInfo> result;
  store.Describe(0, result.Callback());
  return result.Wait();
}

}  // namespace larder

#endif  // LARDER_TESTS_SUPPORT_STORE_CALLS_H_
