// ClusterRoute: masters that kept silent, or were lost, and are back as if nothing had happened. One that was stopped
// does not know that it was replaced until the others tell it, and answers what waited for it before that: a write that
// nobody else will ever see, a value that has been replaced elsewhere. So what it answers counts, and it is asked
// again, only once another master has said that it still has its slots. What another master says is what it says of
// itself where there is no other.
#include <utility>

#include "server/redis/cluster_route.h"

namespace larder {

void ClusterRoute::Doubt(Node& node) {
  node.is_doubted = true;
  Node* other = &node;
  for (auto& [id, each] : nodes_) {
    if (IsReady(each) && !each.is_doubted) other = &each;
  }
  const RedisEndpoint from = other->master.endpoint;
  other->connection->Submit(
      {Question(), DeadlineFor(0), [this, id = node.master.id, from](absl::StatusOr<RedisAnswer> answer) {
         OnSecondOpinion(id, from, std::move(answer));
       }});
}

void ClusterRoute::OnSecondOpinion(const std::string& id, const RedisEndpoint& from,
                                   absl::StatusOr<RedisAnswer> answer) {
  if (closed_) return;
  std::optional<std::vector<ClusterMaster>> before = std::exchange(found_, std::nullopt);
  const bool is_good = answer.ok() && !TakeMap(from, answer->replies).has_value();
  std::optional<std::vector<ClusterMaster>> masters = std::exchange(found_, std::move(before));
  if (is_good && masters.has_value()) {
    UseMap(*std::move(masters));
    Judge();
  }
  const auto found = nodes_.find(id);
  if (found == nodes_.end()) return;
  Node& node = found->second;
  std::vector<HeldAnswer> held;
  held.swap(node.held);
  if (!is_good) {
    RefuseHeld(std::move(held));
    // Again in a moment, perhaps of another.
    const int64_t later = clock_->NowNanos() + kNanosPerSecond / 20;
    loop_->AddTimer(later, [this, id] {
      const auto again = closed_ ? nodes_.end() : nodes_.find(id);
      if (again != nodes_.end()) Doubt(again->second);
    });
    return;
  }
  node.is_doubted = false;
  std::vector<HeldAnswer> not_its;
  for (HeldAnswer& each : held) {
    if (Owner(each.errand->slot) == &node) {
      Deliver(std::move(each));
    } else if (!SendOn(each.errand, each.from, each.answer)) {
      not_its.push_back(std::move(each));
    }
  }
  RefuseHeld(std::move(not_its));
  OnUsable();
}

void ClusterRoute::RefuseHeld(std::vector<HeldAnswer> held) const {
  for (HeldAnswer& each : held) {
    Refuse(std::move(each.errand),
           absl::UnavailableError("the node of the Redis Cluster answered late, and may have been replaced"));
  }
}

}  // namespace larder
