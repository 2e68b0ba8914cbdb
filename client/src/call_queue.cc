#include "client/src/call_queue.h"

#include <grpc/support/time.h>

namespace larder::internal {

CallQueue::CallQueue() : thread_([this] { Run(); }) {}

CallQueue::~CallQueue() {
  if (thread_.joinable()) Close();
}

bool CallQueue::Enter(ActiveCall* call) {
  MutexLock lock(&mutex_);
  if (closing_) return false;
  call->previous_ = nullptr;
  call->next_ = first_;
  if (first_ != nullptr) first_->previous_ = call;
  first_ = call;
  return true;
}

void CallQueue::Leave(ActiveCall* call) {
  MutexLock lock(&mutex_);
  if (call->previous_ != nullptr) call->previous_->next_ = call->next_;
  if (call->next_ != nullptr) call->next_->previous_ = call->previous_;
  if (first_ == call) first_ = call->next_;
  if (first_ == nullptr) empty_.NotifyAll();
}

bool CallQueue::closing() const {
  MutexLock lock(&mutex_);
  return closing_;
}

void CallQueue::Close() {
  {
    MutexLock lock(&mutex_);
    closing_ = true;
  }
  cancel_alarm_.Set(&queue_, gpr_now(GPR_CLOCK_MONOTONIC), &cancel_all_);
  {
    MutexLock lock(&mutex_);
    while (first_ != nullptr || !cancelled_) empty_.Wait(&mutex_);
  }
  queue_.Shutdown();
  thread_.join();
}

void CallQueue::CancelAll::OnEvent(bool /*ok*/) {
  MutexLock lock(&owner_->mutex_);
  for (ActiveCall* call = owner_->first_; call != nullptr; call = call->next_) call->Cancel();
  owner_->cancelled_ = true;
  owner_->empty_.NotifyAll();
}

void CallQueue::Run() {
  void* tag = nullptr;
  bool ok = false;
  while (queue_.Next(&tag, &ok)) static_cast<Event*>(tag)->OnEvent(ok);
}

}  // namespace larder::internal
