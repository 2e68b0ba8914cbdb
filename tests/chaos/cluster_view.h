// What a node of a Redis Cluster says of all of them.
#ifndef LARDER_TESTS_CHAOS_CLUSTER_VIEW_H_
#define LARDER_TESTS_CHAOS_CLUSTER_VIEW_H_

#include <string>
#include <string_view>
#include <vector>

namespace larder::chaos {

inline constexpr int kClusterSlots = 16'384;

struct ClusterView {
  struct Node {
    std::string id;
    int port = 0;
    bool is_master = false;
    bool is_well = false;     // no node suspects it, as far as this one knows
    std::string master = {};  // of a replica: its master's id
  };

  // From the answer to CLUSTER NODES; what is not of that form is left out.
  static ClusterView Parse(std::string_view nodes_text);

  const Node* At(int port) const;
  // Of a master; null: it has none.
  const Node* ReplicaOf(const Node& master) const;

  std::vector<Node> nodes;
  std::vector<int> owners = std::vector<int>(kClusterSlots);  // ports, by slot; 0: nobody's
  bool is_moving = false;                                     // a slot of the one that was asked is on its way
};

}  // namespace larder::chaos

#endif  // LARDER_TESTS_CHAOS_CLUSTER_VIEW_H_
