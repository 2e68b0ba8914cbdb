#include "client/src/batch_calls.h"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/src/wire.h"
#include "core/mutex.h"

namespace larder::internal {
namespace {

// The indices of a batch's keys that go to one replica in one call.
struct Part {
  std::shared_ptr<Replica> replica;
  bool near = true;
  std::vector<size_t> indices;
};

// As the service has it; here too, because a batch may reach it in parts.
constexpr size_t kMaxKeys = 1000;

absl::Status CheckSize(std::string_view field, size_t count) {
  if (count <= kMaxKeys) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(std::string(field), ": ", count, " is more than ", kMaxKeys));
}

// Splits `indices` by replica, and by whether its near tier may answer. All that is said of one key stays together.
std::vector<Part> Split(CallMaker* maker, std::string_view name_space, const std::vector<KeyIdentity>& keys,
                        const std::vector<size_t>& indices, bool near) {
  std::map<std::pair<Replica*, bool>, Part> parts;
  std::map<uint64_t, std::shared_ptr<Replica>>
      replicas;  // by route, which is the same for all where routing is not by key
  for (const size_t index : indices) {
    std::shared_ptr<Replica>& replica = replicas[keys[index].route];
    if (replica == nullptr) replica = maker->env.replicas.Pick(keys[index].route, {});
    const bool may = near && maker->NearMayAnswer(name_space, keys[index], replica.get());
    Part& part = parts[{replica.get(), may}];
    part.replica = replica;
    part.near = may;
    part.indices.push_back(index);
  }
  std::vector<Part> result;
  for (auto& [unused, part] : parts) result.push_back(std::move(part));
  return result;
}

std::vector<size_t> AllOf(size_t count) {
  std::vector<size_t> indices(count);
  for (size_t i = 0; i < count; ++i) indices[i] = i;
  return indices;
}

// What the parts of a batch fill in, whichever ends last calls back.
template <typename Result>
class Assembly {
 public:
  using Done = Callback<absl::StatusOr<std::vector<absl::StatusOr<Result>>>>;

  Assembly(CallMaker* maker, std::string_view method, size_t count, Done done)
      : maker_(maker),
        method_(method),
        began_nanos_(maker->env.clock.NowNanos()),
        results_(count, absl::StatusOr<Result>(absl::UnknownError("not asked for"))),
        done_(std::move(done)) {}

  // Before any part begins, one for each; and again before a part that goes on as another.
  void Expect(size_t parts) {
    MutexLock lock(&mutex_);
    parts_ += parts;
  }

  // Some keys have results already; before any part begins.
  void HasAnswers() {
    MutexLock lock(&mutex_);
    answered_ = true;
  }

  void Put(size_t index, absl::StatusOr<Result> result) {
    MutexLock lock(&mutex_);
    results_[index] = std::move(result);
  }

  // A part has ended; `answered`: its keys have results of their own, not just the call's failure.
  void EndPart(const absl::Status& status, bool answered, int attempts) {
    {
      MutexLock lock(&mutex_);
      attempts_ += attempts;
      answered_ |= answered;
      if (!answered && first_failure_.ok()) first_failure_ = status;
      if (--parts_ > 0) return;
    }
    Finish();
  }

 private:
  void Finish() {
    const int keys = static_cast<int>(results_.size());
    const absl::Status status = answered_ ? absl::OkStatus() : first_failure_;
    maker_->Report(method_, status, began_nanos_, attempts_, keys);
    if (status.ok()) {
      std::move(done_)(std::move(results_));
    } else {
      std::move(done_)(status);
    }
  }

  CallMaker* const maker_;
  const std::string_view method_;
  const int64_t began_nanos_;

  Mutex mutex_;  // until the last part has ended; then that alone has all of it
  std::vector<absl::StatusOr<Result>> results_;
  size_t parts_ = 0;
  int attempts_ = 0;
  bool answered_ = false;
  absl::Status first_failure_;
  Done done_;
};

// --- BatchGet --------------------------------------------------------------------------------------------------------

class BatchRead : public std::enable_shared_from_this<BatchRead> {
 public:
  BatchRead(CallMaker* maker, std::vector<std::string> keys, GetOptions options,
            Callback<absl::StatusOr<BatchGetResults>> done)
      : maker_(maker),
        keys_(std::move(keys)),
        options_(std::move(options)),
        spec_(maker->Spec(options_.deadline, /*repeatable=*/true, 0)),
        assembly_(maker, "BatchGet", keys_.size(), std::move(done)) {
    for (const std::string& key : keys_) {
      identities_.push_back(maker_->Identify(options_.name_space, key));
      tickets_.push_back(maker_->near.Begin(identities_.back().hash));
    }
  }

  void Start() {
    const int64_t now = maker_->env.clock.NowNanos();
    std::vector<size_t> missing;
    for (size_t i = 0; i < keys_.size(); ++i) {
      EntryRef entry = options_.near && maker_->near.enabled()
                           ? maker_->near.Find(identities_[i].near_key, identities_[i].hash, now)
                           : nullptr;
      if (entry) {
        assembly_.Put(i, MaybeHit(ToNearHit(std::move(entry), now)));
      } else {
        missing.push_back(i);
      }
    }
    if (missing.empty() && !keys_.empty()) {
      assembly_.Expect(1);
      return assembly_.EndPart(absl::OkStatus(), /*answered=*/true, 0);
    }
    if (missing.size() < keys_.size()) assembly_.HasAnswers();
    AskFor(missing);  // an empty batch is the service's to refuse
  }

 private:
  void AskFor(const std::vector<size_t>& indices) {
    std::vector<Part> parts = Split(maker_, options_.name_space, identities_, indices, options_.near);
    if (parts.empty()) parts.push_back({maker_->env.replicas.Pick(0, {}), options_.near, {}});
    assembly_.Expect(parts.size());
    for (Part& part : parts) Send(std::move(part));
  }

  void Send(Part part) {
    v1::BatchGetRequest request;
    request.set_namespace_(options_.name_space);
    request.set_fresh_only(options_.fresh_only);
    for (const size_t index : part.indices) request.add_keys(keys_[index]);
    maker_->watches.Use(part.replica, options_.name_space);
    CallSpec spec = spec_;
    spec.replica = part.replica;
    spec.route = part.indices.empty() ? 0 : identities_[part.indices.front()].route;
    BatchGetCall::Start(
        &maker_->env, std::move(spec), std::move(request),
        [env = &maker_->env, near = part.near](v1::BatchGetRequest& sent, const Replica&, int attempt) {
          const bool past = !near || (attempt > 1 && env->replicas.several());
          sent.set_read_from(past ? v1::READ_FROM_STORE : v1::READ_FROM_UNSPECIFIED);
        },
        [self = shared_from_this(), part = std::move(part)](const absl::Status& status, v1::BatchGetResponse&& response,
                                                            const CallEnd& end) {
          self->Receive(part, status, response, end);
        });
  }

  void Receive(const Part& part, absl::Status status, const v1::BatchGetResponse& response, const CallEnd& end) {
    if (status.ok() && response.results_size() != static_cast<int>(part.indices.size())) {
      status = absl::InternalError("the service's answer to a batch has not one result for each key");
    }
    if (!status.ok()) {
      for (const size_t index : part.indices) assembly_.Put(index, status);
      return assembly_.EndPart(status, /*answered=*/false, end.attempts);
    }
    std::vector<size_t> again;
    for (size_t i = 0; i < part.indices.size(); ++i) {
      const v1::GetResponse& result = response.results(static_cast<int>(i));
      if (result.status() == v1::STATUS_RETRY) {
        again.push_back(part.indices[i]);
      } else {
        assembly_.Put(part.indices[i], ToResult(part.indices[i], result, response.incarnation(), end));
      }
    }
    if (again.size() == part.indices.size() && !again.empty()) {
      const absl::Status too_large =
          absl::OutOfRangeError("value: larger than the service may answer with (grpc.max_response_bytes)");
      for (const size_t index : again) assembly_.Put(index, too_large);
    } else if (!again.empty()) {
      AskFor(again);
    }
    assembly_.EndPart(absl::OkStatus(), /*answered=*/true, end.attempts);
  }

  absl::StatusOr<MaybeHit> ToResult(size_t index, const v1::GetResponse& result, uint64_t incarnation,
                                    const CallEnd& end) {
    if (result.status() == v1::STATUS_UNAVAILABLE) {
      return absl::UnavailableError("the service could not ask its store for this key");
    }
    if (!IsHit(result)) return MaybeHit();
    const bool is_kept = maker_->near.enabled() && IsFreshHit(result);
    EntryRef entry =
        ToEntry(result, end.sent_nanos, is_kept ? std::string_view(identities_[index].near_key) : std::string_view());
    if (is_kept) {
      maker_->near.Admit(identities_[index].near_key, identities_[index].hash, entry, tickets_[index],
                         maker_->SessionOf(options_.name_space, incarnation, result));
    }
    return MaybeHit(ToHit(result, std::move(entry)));
  }

  CallMaker* const maker_;
  const std::vector<std::string> keys_;
  const GetOptions options_;
  const CallSpec spec_;
  std::vector<KeyIdentity> identities_;
  std::vector<NearTier::Ticket> tickets_;
  Assembly<MaybeHit> assembly_;
};

// --- BatchSet --------------------------------------------------------------------------------------------------------

class BatchWrite : public std::enable_shared_from_this<BatchWrite> {
 public:
  BatchWrite(CallMaker* maker, std::vector<SetItem> items, CallOptions options,
             Callback<absl::StatusOr<BatchSetResults>> done)
      : maker_(maker),
        items_(std::move(items)),
        options_(std::move(options)),
        assembly_(maker, "BatchSet", items_.size(), std::move(done)) {
    for (const SetItem& item : items_) {
      identities_.push_back(maker_->Identify(options_.name_space, item.key));
      is_strong_ = is_strong_ || item.consistency == Consistency::kStrong;
    }
  }

  void Start() {
    maker_->BeforeWrite(identities_);
    std::vector<Part> parts = Split(maker_, options_.name_space, identities_, AllOf(items_.size()), /*near=*/false);
    if (parts.empty()) parts.push_back({maker_->env.replicas.Pick(0, {}), false, {}});
    assembly_.Expect(parts.size());
    for (Part& part : parts) Send(std::move(part));
  }

 private:
  void Send(Part part) {
    v1::BatchSetRequest request;
    request.set_namespace_(options_.name_space);
    for (const size_t index : part.indices) *request.add_entries() = ToMessage(std::move(items_[index]));
    if (is_strong_) request.set_consistency(v1::CONSISTENCY_STRONG);
    CallSpec spec = maker_->Spec(options_.deadline, /*repeatable=*/false, 0);
    spec.replica = part.replica;
    BatchSetCall::Start(&maker_->env, std::move(spec), std::move(request), nullptr,
                        [self = shared_from_this(), part = std::move(part)](
                            const absl::Status& status, v1::BatchSetResponse&& response, const CallEnd& end) {
                          self->Receive(part, status, response, end);
                        });
  }

  void Receive(const Part& part, absl::Status status, const v1::BatchSetResponse& response, const CallEnd& end) {
    if (status.ok() && response.results_size() != static_cast<int>(part.indices.size())) {
      status = absl::InternalError("the service's answer to a batch has not one result for each entry");
    }
    for (size_t i = 0; i < part.indices.size(); ++i) {
      absl::StatusOr<SetResult> result =
          status.ok() ? FromMessage(response.results(static_cast<int>(i))) : absl::StatusOr<SetResult>(status);
      maker_->AfterWrite({identities_[part.indices[i]]}, result.status(), end.replica);
      assembly_.Put(part.indices[i], std::move(result));
    }
    assembly_.EndPart(status, status.ok(), end.attempts);
  }

  CallMaker* const maker_;
  std::vector<SetItem> items_;
  const CallOptions options_;
  std::vector<KeyIdentity> identities_;
  bool is_strong_ = false;  // one of the items is, and so all are
  Assembly<SetResult> assembly_;
};

}  // namespace

void StartBatchGet(CallMaker* maker, std::vector<std::string> keys, GetOptions options,
                   Callback<absl::StatusOr<BatchGetResults>> done) {
  if (absl::Status status = CheckSize("keys", keys.size()); !status.ok()) return std::move(done)(status);
  std::make_shared<BatchRead>(maker, std::move(keys), std::move(options), std::move(done))->Start();
}

void StartBatchSet(CallMaker* maker, std::vector<SetItem> items, CallOptions options,
                   Callback<absl::StatusOr<BatchSetResults>> done) {
  if (absl::Status status = CheckSize("entries", items.size()); !status.ok()) return std::move(done)(status);
  std::make_shared<BatchWrite>(maker, std::move(items), std::move(options), std::move(done))->Start();
}

}  // namespace larder::internal
