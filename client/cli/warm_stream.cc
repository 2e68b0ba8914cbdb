#include "client/cli/warm_stream.h"

#include <grpc/support/time.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/text.h"

namespace larder {

WarmStream::WarmStream(const Connection& connection, int64_t patience_ms, OnProgress on_progress)
    : patience_ms_(patience_ms), on_progress_(std::move(on_progress)) {
  stream_ = connection.cache().PrepareAsyncWarm(&context_, &queue_);
  stream_->StartCall(Begin(kStart));
  broken_ = !Await(kStart);
  if (!broken_) stream_->Read(&progress_, Begin(kRead));
}

WarmStream::~WarmStream() {
  if (!finished_) {
    context_.TryCancel();
    Finish();
  }
  queue_.Shutdown();
  void* tag = nullptr;
  bool ok = false;
  while (queue_.Next(&tag, &ok)) {
  }
}

bool WarmStream::Write(const v1::WarmRequest& entry) {
  if (broken_) return false;
  stream_->Write(entry, Begin(kWrite));
  broken_ = !Await(kWrite);
  return !broken_;
}

grpc::Status WarmStream::Finish() {
  finished_ = true;
  if (!broken_) {
    stream_->WritesDone(Begin(kWritesDone));
    Await(kWritesDone);
  }
  // A read that brings nothing is the last one.
  while (pending_[kRead]) Poll();
  grpc::Status status;
  stream_->Finish(&status, Begin(kFinish));
  Await(kFinish);
  if (impatient_) {
    return {grpc::StatusCode::DEADLINE_EXCEEDED,
            absl::StrCat("no sign of progress from the server for ", HumanMillis(patience_ms_))};
  }
  if (status.ok() && !all_dealt_with_) {
    return {grpc::StatusCode::INTERNAL, "the server ended the stream before it had dealt with every entry"};
  }
  return status;
}

void* WarmStream::Begin(Event event) {
  pending_[event] = true;
  return reinterpret_cast<void*>(event);
}

bool WarmStream::Await(Event event) {
  while (pending_[event]) Poll();
  return succeeded_[event];
}

void WarmStream::Poll() {
  void* tag = nullptr;
  bool ok = false;
  const gpr_timespec patience = gpr_time_from_millis(patience_ms_, GPR_TIMESPAN);
  if (queue_.AsyncNext(&tag, &ok, patience) == grpc::CompletionQueue::TIMEOUT) {
    // Whatever is pending now ends soon, without success.
    impatient_ = true;
    context_.TryCancel();
    return;
  }
  const auto event = static_cast<Event>(reinterpret_cast<size_t>(tag));
  pending_[event] = false;
  succeeded_[event] = ok;
  if (event != kRead || !ok) return;
  all_dealt_with_ = progress_.finished();
  on_progress_(progress_);
  stream_->Read(&progress_, Begin(kRead));
}

}  // namespace larder
