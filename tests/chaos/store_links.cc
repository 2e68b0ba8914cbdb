#include "tests/chaos/store_links.h"

#include <utility>

namespace larder::chaos {
namespace {

// Only what asks Redis to tell of changes sends the first, only what listens to replicas the second.
constexpr char kTrackingMarker[] = "TRACKING";
constexpr char kListeningMarker[] = "}:changed";

}  // namespace

absl::StatusOr<int> StoreLinks::Add(int target_port, const std::vector<TcpProxy::Substitution>& substitutions) {
  auto link = TcpProxy::Start(target_port, {kTrackingMarker, kListeningMarker}, substitutions);
  if (!link.ok()) return link.status();
  links_.push_back(*std::move(link));
  return links_.back()->port();
}

void StoreLinks::Delay(Which which, Direction direction, int64_t nanos) {
  for (const auto& link : links_) link->Delay(which, direction, nanos);
}

void StoreLinks::Hold(Which which, Direction direction) {
  for (const auto& link : links_) link->Hold(which, direction);
}

void StoreLinks::Refuse() {
  for (const auto& link : links_) link->Refuse();
}

void StoreLinks::Heal() {
  for (const auto& link : links_) link->Heal();
}

void StoreLinks::Close(Which which) {
  for (const auto& link : links_) link->Close(which);
}

void StoreLinks::Reset(Which which) {
  for (const auto& link : links_) link->Reset(which);
}

void StoreLinks::Truncate(Which which, Direction direction, size_t bytes) {
  for (const auto& link : links_) link->Truncate(which, direction, bytes);
}

}  // namespace larder::chaos
