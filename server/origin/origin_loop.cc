#include "server/origin/origin_loop.h"

#include "grpcpp/completion_queue.h"

namespace larder {

OriginLoop::OriginLoop() : queue_(std::make_unique<grpc::CompletionQueue>()), thread_([this] { Run(); }) {}

OriginLoop::~OriginLoop() {
  queue_->Shutdown();
  thread_.join();
}

void OriginLoop::Run() {
  void* tag = nullptr;
  bool ok = false;  // always true where a unary call ends
  while (queue_->Next(&tag, &ok)) static_cast<Call*>(tag)->OnEnd();
}

}  // namespace larder
