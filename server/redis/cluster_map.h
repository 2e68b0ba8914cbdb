// Which server of a Cluster has which keys. Pure functions.
#ifndef LARDER_SERVER_REDIS_CLUSTER_MAP_H_
#define LARDER_SERVER_REDIS_CLUSTER_MAP_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/redis/redis_options.h"

namespace larder {

inline constexpr int kHashSlots = 16'384;

// Of the part between the first { and the } after it, unless there is none or it is empty; as the specification of
// Redis Cluster has it (CRC-16/XMODEM).
int HashSlotOf(std::string_view key);

struct ClusterMaster {
  std::string id;  // stays what it is as long as the node keeps its file
  RedisEndpoint endpoint;
  std::vector<std::pair<int, int>> slots;   // first and last of each range; none: it has no keys
  std::optional<RedisEndpoint> alias = {};  // what else it is called by others
};

// What CLUSTER NODES says of masters, by id; of those that failed only of those whose slots nobody else has: what the
// others answer yet, they answer without knowing that they were replaced. `asked` is who said it: nodes may not know
// their own address. With `by_name` they go by the names that they announce, if they do. None if the text makes no
// sense.
std::optional<std::vector<ClusterMaster>> ParseClusterNodes(std::string_view text, const RedisEndpoint& asked,
                                                            bool by_name);

// What an error says that sends its caller to another node.
struct Redirection {
  bool once = false;  // ASK: only this operation; else the slot has moved
  int slot = 0;
  RedisEndpoint endpoint;
};
// Of `MOVED slot host:port` or `ASK slot host:port`; without a host it is that of who said it.
std::optional<Redirection> ParseRedirection(std::string_view error, const RedisEndpoint& asked);

}  // namespace larder

#endif  // LARDER_SERVER_REDIS_CLUSTER_MAP_H_
