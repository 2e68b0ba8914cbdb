#ifndef LARDER_TESTS_SUPPORT_HELD_STORE_H_
#define LARDER_TESTS_SUPPORT_HELD_STORE_H_

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "server/store/store.h"

namespace larder {

// A real store whose answers, or whose calls, can be held back and let go one by one: it orders what happens in a test
// without threads and without sleeping. Calls may be concurrent while nothing is held.
class HeldStore final : public Store {
 public:
  explicit HeldStore(Store* store) : store_(store) {}

  // From now on calls are carried out at once, but their answers wait for Release().
  bool hold_answers = false;
  // From now on calls wait for Release() before they are carried out.
  bool hold_calls = false;
  // Every call that starts while this is an error gets it, and is not carried out.
  absl::Status failure;
  // Everything that changes something is carried out, but answered with this error: the outcome is unknown to the
  // caller. Barriers and the forgetting of stamps excepted.
  absl::Status lost_answer;
  std::set<std::string> lost_keys;      // of a part of the store that is away: not erased
  std::map<std::string, int> erasures;  // of the others while there are any, by key
  bool shared = false;                  // as if others wrote to the store too
  bool away = false;                    // it says of itself that it cannot be reached
  std::function<void()> before_erase;   // called at the beginning of an Erase, if it is not empty
  std::atomic<int> reads{0};
  std::atomic<int> leases{0};  // that were asked for
  std::atomic<int> touches{0};

  size_t held() const { return held_.size(); }
  // Lets the oldest one go.
  void Release() {
    std::function<void()> next = std::move(held_.front());
    held_.pop_front();
    next();
  }

  void Read(ReadRequest request, StoreCallback<ReadResult> done) override {
    ++reads;
    Pass<ReadResult>(std::move(done), [this, request](auto next) { store_->Read(request, std::move(next)); });
  }
  void Write(WriteRequest request, StoreCallback<WriteResult> done) override {
    Pass<WriteResult>(Lose(std::move(done)), [this, request](auto next) { store_->Write(request, std::move(next)); });
  }
  void Touch(TouchRequest request, StoreCallback<TouchResult> done) override {
    ++touches;
    Pass<TouchResult>(Lose(std::move(done)), [this, request](auto next) { store_->Touch(request, std::move(next)); });
  }
  void Erase(EraseRequest request, StoreCallback<EraseResult> done) override {
    if (before_erase) before_erase();
    std::vector<size_t> lost;
    std::vector<std::string> others;
    for (size_t i = 0; i < request.keys.size(); ++i) {
      if (lost_keys.contains(request.keys[i])) {
        lost.push_back(i);
      } else {
        if (!lost_keys.empty()) ++erasures[request.keys[i]];
        others.push_back(request.keys[i]);
      }
    }
    if (!lost.empty() && others.empty()) return std::move(done)(absl::UnavailableError("its part is away"));
    request.keys = std::move(others);
    Pass<EraseResult>(Lose(std::move(done)), [this, request, lost](auto next) {
      store_->Erase(request, [lost, next = std::move(next)](absl::StatusOr<EraseResult> result) mutable {
        if (result.ok()) result->lost = lost;
        std::move(next)(std::move(result));
      });
    });
  }
  void Lease(LeaseRequest request, StoreCallback<LeaseResult> done) override {
    ++leases;
    Pass<LeaseResult>(Lose(std::move(done)), [this, request](auto next) { store_->Lease(request, std::move(next)); });
  }
  void Release(ReleaseRequest request, StoreCallback<ReleaseResult> done) override {
    Pass<ReleaseResult>(Lose(std::move(done)),
                        [this, request](auto next) { store_->Release(request, std::move(next)); });
  }
  void InvalidateGroups(GroupRequest request, StoreCallback<GroupResult> done) override {
    Pass<GroupResult>(Lose(std::move(done)),
                      [this, request](auto next) { store_->InvalidateGroups(request, std::move(next)); });
  }
  void RaiseBarrier(std::string name_space, int64_t deadline, StoreCallback<ControlUpdate> done) override {
    Pass<ControlUpdate>(std::move(done), [this, name_space, deadline](auto next) {
      store_->RaiseBarrier(name_space, deadline, std::move(next));
    });
  }
  void ReadControl(std::string name_space, ClockPosition known, int64_t deadline,
                   StoreCallback<ControlUpdate> done) override {
    Pass<ControlUpdate>(std::move(done), [this, name_space, known, deadline](auto next) {
      store_->ReadControl(name_space, known, deadline, std::move(next));
    });
  }
  void Look(LookRequest request, StoreCallback<LookResult> done) override {
    Pass<LookResult>(std::move(done), [this, request](auto next) { store_->Look(request, std::move(next)); });
  }
  void Scan(ScanRequest request, StoreCallback<ScanResult> done) override {
    Pass<ScanResult>(std::move(done), [this, request](auto next) { store_->Scan(request, std::move(next)); });
  }
  void EraseVersions(EraseVersionsRequest request, StoreCallback<EraseResult> done) override {
    Pass<EraseResult>(Lose(std::move(done)),
                      [this, request](auto next) { store_->EraseVersions(request, std::move(next)); });
  }
  void Sweep(SweepRequest request, StoreCallback<SweepResult> done) override {
    Pass<SweepResult>(Lose(std::move(done)), [this, request](auto next) { store_->Sweep(request, std::move(next)); });
  }
  void EraseDead(EraseDeadRequest request, StoreCallback<EraseDeadResult> done) override {
    Pass<EraseDeadResult>(Lose(std::move(done)),
                          [this, request](auto next) { store_->EraseDead(request, std::move(next)); });
  }
  void ForgetOldStamps(std::string name_space, int64_t max_life, int64_t deadline,
                       StoreCallback<uint64_t> done) override {
    Pass<uint64_t>(std::move(done), [this, name_space, max_life, deadline](auto next) {
      store_->ForgetOldStamps(name_space, max_life, deadline, std::move(next));
    });
  }
  void PutNote(std::string name_space, std::string name, std::string text, int64_t ttl, int64_t deadline,
               StoreCallback<bool> done) override {
    Pass<bool>(Lose(std::move(done)), [this, name_space, name, text, ttl, deadline](auto next) {
      store_->PutNote(name_space, name, text, ttl, deadline, std::move(next));
    });
  }
  void GetNote(std::string name_space, std::string name, int64_t deadline,
               StoreCallback<std::optional<std::string>> done) override {
    Pass<std::optional<std::string>>(std::move(done), [this, name_space, name, deadline](auto next) {
      store_->GetNote(name_space, name, deadline, std::move(next));
    });
  }
  void SetWakeListener(WakeListener listener) override { store_->SetWakeListener(std::move(listener)); }
  void Describe(int64_t deadline, StoreCallback<StoreInfo> done) override {
    store_->Describe(deadline, std::move(done));
  }
  StoreInfo::State state() const override { return away ? StoreInfo::State::kDown : store_->state(); }
  bool exclusive() const override { return !shared; }
  void Shutdown() override { store_->Shutdown(); }

 private:
  template <typename T>
  StoreCallback<T> Lose(StoreCallback<T> done) {
    if (lost_answer.ok()) return done;
    return [done = std::move(done), status = lost_answer](absl::StatusOr<T>) mutable { std::move(done)(status); };
  }

  template <typename T, typename Call>
  void Pass(StoreCallback<T> done, Call call) {
    if (!failure.ok()) return std::move(done)(failure);
    // std::function must be copyable, the callback is not.
    auto shared_done = std::make_shared<StoreCallback<T>>(std::move(done));
    const auto carry_out = [this, shared_done, call, hold = hold_answers] {
      call([this, shared_done, hold](absl::StatusOr<T> result) {
        if (!hold) return std::move(*shared_done)(std::move(result));
        held_.push_back([shared_done, result]() mutable { std::move (*shared_done)(std::move(result)); });
      });
    };
    if (hold_calls) {
      held_.push_back(carry_out);
    } else {
      carry_out();
    }
  }

  Store* const store_;
  std::deque<std::function<void()>> held_;
};

}  // namespace larder

#endif  // LARDER_TESTS_SUPPORT_HELD_STORE_H_
