#include "client/cli/warm_jobs.h"

#include <grpc/support/time.h>
#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/support/async_stream.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/progress_bar.h"
#include "client/cli/text.h"
#include "core/clock.h"
#include "larder/v1/admin.grpc.pb.h"

namespace larder {
namespace {

std::string StateName(v1::WarmJobState state) {
  switch (state) {
    case v1::WARM_JOB_STATE_WAITING:
      return "waiting";
    case v1::WARM_JOB_STATE_RUNNING:
      return "running";
    case v1::WARM_JOB_STATE_DONE:
      return "done";
    case v1::WARM_JOB_STATE_FAILED:
      return "failed";
    default:
      return "unknown";
  }
}

nlohmann::ordered_json ToJson(const v1::WarmJobProgress& job) {
  return {{"namespace", job.namespace_()},   {"job", job.job()},
          {"state", StateName(job.state())}, {"found", job.found()},
          {"written", job.written()},        {"skipped", job.skipped()},
          {"failed", job.failed()},          {"elapsed_ms", job.elapsed_ms()},
          {"detail", job.detail()}};
}

// The messages of a call, taken by one thread. Not thread-safe.
class ProgressStream {
 public:
  using OnProgress = std::function<void(const v1::WarmJobProgress&)>;

  ProgressStream(const Connection& connection, const v1::RunWarmJobRequest& request, int64_t patience_ms)
      : patience_ms_(patience_ms), stub_(v1::Admin::NewStub(connection.channel())) {
    stream_ = stub_->PrepareAsyncRunWarmJob(&context_, request, &queue_);
  }
  ~ProgressStream() {
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
    }
  }
  ProgressStream(const ProgressStream&) = delete;
  ProgressStream& operator=(const ProgressStream&) = delete;

  // Until the call has ended. Once.
  grpc::Status Read(const OnProgress& on_progress) {
    stream_->StartCall(nullptr);
    bool more = Await();
    v1::WarmJobProgress progress;
    while (more) {
      stream_->Read(&progress, nullptr);
      more = Await();
      if (more) on_progress(progress);
    }
    grpc::Status status;
    stream_->Finish(&status, nullptr);
    Await();
    if (!impatient_) return status;
    return {grpc::StatusCode::DEADLINE_EXCEEDED,
            absl::StrCat("no sign of life from the server for ", HumanMillis(patience_ms_))};
  }

 private:
  // For the one operation under way.
  bool Await() {
    void* tag = nullptr;
    bool ok = false;
    while (queue_.AsyncNext(&tag, &ok, gpr_time_from_millis(patience_ms_, GPR_TIMESPAN)) ==
           grpc::CompletionQueue::TIMEOUT) {
      impatient_ = true;
      context_.TryCancel();
    }
    return ok;
  }

  const int64_t patience_ms_;
  const std::unique_ptr<v1::Admin::Stub> stub_;
  grpc::CompletionQueue queue_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientAsyncReader<v1::WarmJobProgress>> stream_;
  bool impatient_ = false;
};

std::string Summary(const v1::WarmJobProgress& job) {
  return absl::StrCat("written ", job.written(), ", skipped ", job.skipped(), " (not needed), failed ", job.failed(),
                      "; in ", HumanMillis(job.elapsed_ms()));
}

}  // namespace

ExitCode RunWarmJob(const std::string& job, int64_t patience_ms, const Connection& connection, Output& output) {
  v1::RunWarmJobRequest request;
  request.set_job(job);
  request.set_namespace_(connection.name_space());
  const SystemClock clock;
  ProgressBar bar(stderr, &clock, "keys");
  std::optional<v1::WarmJobProgress> last;
  ProgressStream stream(connection, request, patience_ms);
  const grpc::Status status = stream.Read([&](const v1::WarmJobProgress& progress) {
    last = progress;
    // How many there will be is not known before the last was found.
    bar.Update(static_cast<uint64_t>(progress.written() + progress.skipped() + progress.failed()), std::nullopt);
  });
  bar.Clear();
  if (!status.ok()) return output.Fail(status);
  if (!last.has_value() || last->state() == v1::WARM_JOB_STATE_RUNNING) {
    return output.Fail({grpc::StatusCode::INTERNAL, "the server ended the stream before the job had ended"});
  }
  if (output.json()) {
    output.Json(ToJson(*last));
  } else {
    output.Line(Summary(*last));
    if (!last->detail().empty()) output.Complain(last->detail());
  }
  return last->state() == v1::WARM_JOB_STATE_DONE && last->failed() == 0 ? ExitCode::kOk : ExitCode::kService;
}

ExitCode ListWarmJobs(const Connection& connection, Output& output) {
  const std::unique_ptr<v1::Admin::Stub> admin = v1::Admin::NewStub(connection.channel());
  grpc::ClientContext context;
  connection.SetDeadline(&context);
  v1::WarmJobsResponse response;
  const grpc::Status status = admin->WarmJobs(&context, v1::WarmJobsRequest(), &response);
  if (!status.ok()) return output.Fail(status);
  if (!output.json()) {
    output.Line(absl::StrFormat("%-20s %-20s %-8s %10s %10s %10s %10s  %s", "namespace", "job", "state", "found",
                                "written", "skipped", "failed", "detail"));
  }
  for (const v1::WarmJobProgress& job : response.jobs()) {
    if (!connection.name_space().empty() && job.namespace_() != connection.name_space()) continue;
    if (output.json()) {
      output.Json(ToJson(job));
    } else {
      output.Line(absl::StrFormat("%-20s %-20s %-8s %10d %10d %10d %10d  %s", job.namespace_(), job.job(),
                                  StateName(job.state()), job.found(), job.written(), job.skipped(), job.failed(),
                                  job.detail()));
    }
  }
  return ExitCode::kOk;
}

}  // namespace larder
