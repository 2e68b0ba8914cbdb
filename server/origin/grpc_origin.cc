#include "server/origin/grpc_origin.h"

#include <utility>

#include "server/origin/key_enumerator.h"
#include "server/origin/load_dispatcher.h"

namespace larder {

GrpcOrigin::GrpcOrigin(const NamespacePolicy& policy, OriginLoop* loop, Scheduler* scheduler, const Clock* clock,
                       Registry* registry, const GrpcOriginOptions& options)
    : dispatcher_(std::make_shared<LoadDispatcher>(
          policy, LoadDispatcher::Options{options.max_receive_bytes, loop, scheduler, clock, registry})),
      enumerator_(std::make_unique<KeyEnumerator>(scheduler, clock)) {}

GrpcOrigin::~GrpcOrigin() { Shutdown(); }

void GrpcOrigin::ReplacePolicy(const NamespacePolicy& policy) { dispatcher_->ReplacePolicy(policy); }

void GrpcOrigin::Load(std::string key, absl::AnyInvocable<void(absl::StatusOr<OriginValue>) &&> done) {
  dispatcher_->Load(std::move(key), std::move(done));
}

void GrpcOrigin::Enumerate(std::string prefix, int64_t limit, absl::AnyInvocable<bool(std::vector<std::string>)> take,
                           absl::AnyInvocable<void(absl::Status) &&> done) {
  absl::StatusOr<std::shared_ptr<const OriginRoute>> route = dispatcher_->Route();
  if (!route.ok()) return std::move(done)(route.status());
  enumerator_->Start(*std::move(route), std::move(prefix), limit, std::move(take), std::move(done));
}

void GrpcOrigin::Shutdown() {
  dispatcher_->Shutdown();
  enumerator_->Shutdown();
}

}  // namespace larder
