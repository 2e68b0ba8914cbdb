#include "client/cli/replayer.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace larder {
namespace {

// Hands out the trace in pieces of a batch, up to the limit.
class RequestSource {
 public:
  RequestSource(TraceReader* trace, const ReplayOptions& options)
      : trace_(trace),
        left_(options.limit == 0 ? std::numeric_limits<uint64_t>::max() : options.limit),
        batch_(static_cast<size_t>(options.session.batch)) {}

  // The next ids, valid until the next call; none at the end, or after an error.
  std::span<const uint32_t> Next() {
    batch_.resize(std::min<uint64_t>(batch_.size(), left_));
    if (batch_.empty() || !status_.ok()) return {};
    const absl::StatusOr<size_t> got = trace_->Read(batch_);
    if (!got.ok()) {
      status_ = got.status();
      return {};
    }
    left_ -= *got;
    return std::span<const uint32_t>(batch_).first(*got);
  }

  const absl::Status& status() const { return status_; }

 private:
  TraceReader* const trace_;
  uint64_t left_;
  std::vector<uint32_t> batch_;
  absl::Status status_;
};

// How many requests there will be, if that is known.
std::optional<uint64_t> ExpectedRequests(const TraceReader& trace, uint64_t limit) {
  const std::optional<uint64_t> expected = trace.expected_ids();
  if (limit == 0) return expected;
  return std::min(expected.value_or(limit), limit);
}

class Replayer {
 public:
  Replayer(const ReplayOptions& options, const Connection& connection, const ValueGenerator& values, const Clock& clock,
           TraceReader* trace, ProgressBar* bar, ReplayReport* report)
      : session_(&options.session, &connection, &values, &clock, report),
        source_(trace, options),
        expected_(ExpectedRequests(*trace, options.limit)),
        bar_(bar),
        report_(report) {
    for (const auto& channel : connection.NewChannels(options.connections)) {
      stubs_.push_back(v1::Cache::NewStub(channel));
    }
    const auto new_lane = options.session.batch == 1 ? NewUnaryLane : NewBatchLane;
    for (size_t i = 0; i < static_cast<size_t>(options.concurrency); ++i) {
      lanes_.push_back(new_lane(&session_, stubs_[i % stubs_.size()].get()));
    }
  }

  absl::Status Run() {
    const int64_t start = session_.now();
    size_t in_flight = 0;
    for (const auto& lane : lanes_) in_flight += StartNext(lane.get()) ? 1 : 0;
    while (in_flight > 0) {
      void* tag = nullptr;
      bool ok = false;
      session_.queue()->Next(&tag, &ok);
      auto* const lane = static_cast<ReplayLane*>(tag);
      if (!lane->Advance() && !StartNext(lane)) --in_flight;
      ShowProgress();
    }
    report_->elapsed_nanos = session_.now() - start;
    bar_->Clear();
    return source_.status();
  }

 private:
  bool StartNext(ReplayLane* lane) {
    if (report_->gave_up) return false;
    const std::span<const uint32_t> ids = source_.Next();
    if (ids.empty()) return false;
    report_->requests += ids.size();
    lane->Start(ids);
    return true;
  }

  void ShowProgress() {
    std::optional<double> share;
    if (expected_.has_value() && *expected_ > 0) {
      share = static_cast<double>(report_->requests) / static_cast<double>(*expected_);
    }
    bar_->Update(report_->requests, share);
  }

  ReplaySession session_;
  RequestSource source_;
  const std::optional<uint64_t> expected_;
  ProgressBar* const bar_;
  ReplayReport* const report_;
  std::vector<std::unique_ptr<v1::Cache::Stub>> stubs_;
  std::vector<std::unique_ptr<ReplayLane>> lanes_;  // the last to be made, and so the first to go
};

}  // namespace

absl::Status Replay(const ReplayOptions& options, const Connection& connection, const ValueGenerator& values,
                    const Clock& clock, TraceReader* trace, ProgressBar* bar, ReplayReport* report) {
  return Replayer(options, connection, values, clock, trace, bar, report).Run();
}

}  // namespace larder
