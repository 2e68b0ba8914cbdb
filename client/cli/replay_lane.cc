#include "client/cli/replay_lane.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/output.h"

namespace larder {
namespace {

class UnaryLane final : public ReplayLane {
 public:
  UnaryLane(ReplaySession* session, v1::Cache::Stub* stub) : session_(session), stub_(stub) {
    get_.request.set_namespace_(session->connection().name_space());
    set_.request.set_namespace_(session->connection().name_space());
  }

  void Start(std::span<const uint32_t> ids) override {
    id_ = ids.front();
    setting_ = false;
    get_.request.set_key(session_->KeyOf(id_));
    get_.Start(session_, stub_, this);
  }

  bool Advance() override {
    if (setting_) {
      EndSet();
      return false;
    }
    get_.End(session_, &session_->report().get_latency);
    if (!get_.status.ok()) {
      session_->CountGetError(get_.status);
      return false;
    }
    setting_ = session_->CountGet(id_, get_.response);
    if (!setting_) return false;
    session_->FillSet(id_, &set_.request);
    set_.Start(session_, stub_, this);
    return true;
  }

 private:
  void EndSet() {
    set_.End(session_, &session_->report().set_latency);
    if (set_.status.ok()) {
      ++session_->report().sets;
    } else {
      session_->CountSetError(set_.status);
    }
  }

  ReplaySession* const session_;
  v1::Cache::Stub* const stub_;
  uint32_t id_ = 0;
  bool setting_ = false;
  RepeatedCall<v1::GetRequest, v1::GetResponse> get_{&v1::Cache::Stub::PrepareAsyncGet};
  RepeatedCall<v1::SetRequest, v1::SetResponse> set_{&v1::Cache::Stub::PrepareAsyncSet};
};

class BatchLane final : public ReplayLane {
 public:
  BatchLane(ReplaySession* session, v1::Cache::Stub* stub) : session_(session), stub_(stub) {
    get_.request.set_namespace_(session->connection().name_space());
    set_.request.set_namespace_(session->connection().name_space());
  }

  void Start(std::span<const uint32_t> ids) override {
    asked_.assign(ids.begin(), ids.end());
    missed_.clear();
    SendGet();
  }

  bool Advance() override {
    if (setting_) {
      EndSet();
      return false;
    }
    if (EndGet()) {
      SendGet();
      return true;
    }
    if (missed_.empty()) return false;
    SendSet();
    return true;
  }

 private:
  void SendGet() {
    setting_ = false;
    get_.request.clear_keys();
    for (const uint32_t id : asked_) get_.request.add_keys(session_->KeyOf(id));
    get_.Start(session_, stub_, this);
  }

  void SendSet() {
    setting_ = true;
    set_.request.clear_entries();
    for (const uint32_t id : missed_) session_->FillSet(id, set_.request.add_entries());
    set_.Start(session_, stub_, this);
  }

  // True if some keys did not fit into the answer: they are then the ones to ask for.
  bool EndGet() {
    get_.End(session_, &session_->report().get_latency);
    const grpc::Status status = get_.status.ok() ? CheckSize(get_.response.results_size(), asked_.size()) : get_.status;
    if (!status.ok()) {
      session_->CountGetError(status, asked_.size());
      return false;
    }
    std::vector<uint32_t> again;
    for (size_t i = 0; i < asked_.size(); ++i) {
      const v1::GetResponse& result = get_.response.results(static_cast<int>(i));
      if (result.status() == v1::STATUS_RETRY) {
        again.push_back(asked_[i]);
      } else if (result.status() == v1::STATUS_UNAVAILABLE) {
        session_->CountGetError({grpc::StatusCode::UNAVAILABLE, "the store could not be asked for a key of a batch"});
      } else if (session_->CountGet(asked_[i], result)) {
        missed_.push_back(asked_[i]);
      }
    }
    if (!again.empty() && again.size() == asked_.size()) {
      session_->CountGetError({grpc::StatusCode::RESOURCE_EXHAUSTED, "no answer has room for the value"}, again.size());
      return false;
    }
    asked_ = std::move(again);
    return !asked_.empty();
  }

  void EndSet() {
    set_.End(session_, &session_->report().set_latency);
    const grpc::Status status =
        set_.status.ok() ? CheckSize(set_.response.results_size(), missed_.size()) : set_.status;
    if (!status.ok()) {
      session_->CountSetError(status, missed_.size());
      return;
    }
    for (const v1::BatchSetResult& result : set_.response.results()) {
      if (result.code() == 0) {
        ++session_->report().sets;
      } else {
        session_->CountSetError({static_cast<grpc::StatusCode>(result.code()), result.message()});
      }
    }
  }

  static grpc::Status CheckSize(int answered, size_t asked) {
    if (static_cast<size_t>(answered) == asked) return grpc::Status::OK;
    return {grpc::StatusCode::INTERNAL,
            absl::StrCat("a batch of ", asked, " was answered with ", answered, " results")};
  }

  ReplaySession* const session_;
  v1::Cache::Stub* const stub_;
  std::vector<uint32_t> asked_;
  std::vector<uint32_t> missed_;
  bool setting_ = false;
  RepeatedCall<v1::BatchGetRequest, v1::BatchGetResponse> get_{&v1::Cache::Stub::PrepareAsyncBatchGet};
  RepeatedCall<v1::BatchSetRequest, v1::BatchSetResponse> set_{&v1::Cache::Stub::PrepareAsyncBatchSet};
};

}  // namespace

void ReplaySession::FillSet(uint32_t id, v1::SetRequest* request) const {
  request->set_key(KeyOf(id));
  values_->Generate(id, request->mutable_value());
  if (options_->ttl_ms.has_value()) request->set_ttl_ms(*options_->ttl_ms);
}

bool ReplaySession::CountGet(uint32_t id, const v1::GetResponse& response) {
  if (response.status() != v1::STATUS_HIT) {
    ++report_->misses;
    return true;
  }
  ++(response.tier() == v1::TIER_NEAR ? report_->near_hits : report_->store_hits);
  if (options_->verify && !values_->Matches(id, response.value())) {
    ++report_->wrong;
    if (report_->first_wrong.empty()) {
      report_->first_wrong = absl::StrCat(KeyOf(id), ": ", response.value().size(), " bytes that are not the ",
                                          values_->SizeOf(id), " of this object");
    }
  }
  return false;
}

void ReplaySession::CountGetError(const grpc::Status& status, uint64_t keys) {
  report_->get_errors[status.error_code()] += keys;
  report_->last_error = absl::StrCat(CodeName(status.error_code()), ": ", status.error_message());
}

void ReplaySession::CountSetError(const grpc::Status& status, uint64_t keys) {
  report_->set_errors[status.error_code()] += keys;
  report_->last_error = absl::StrCat(CodeName(status.error_code()), ": ", status.error_message());
}

void ReplaySession::CountCall(bool ok) {
  errors_in_a_row_ = ok ? 0 : errors_in_a_row_ + 1;
  if (options_->max_errors != 0 && errors_in_a_row_ >= options_->max_errors) report_->gave_up = true;
}

std::unique_ptr<ReplayLane> NewUnaryLane(ReplaySession* session, v1::Cache::Stub* stub) {
  return std::make_unique<UnaryLane>(session, stub);
}

std::unique_ptr<ReplayLane> NewBatchLane(ReplaySession* session, v1::Cache::Stub* stub) {
  return std::make_unique<BatchLane>(session, stub);
}

}  // namespace larder
