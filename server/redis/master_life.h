// A master of a Cluster, from its start to its end.
#ifndef LARDER_SERVER_REDIS_MASTER_LIFE_H_
#define LARDER_SERVER_REDIS_MASTER_LIFE_H_

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "server/redis/redis_options.h"

namespace larder {

struct MasterLife {
  std::string id;  // the node's
  RedisEndpoint endpoint;
  std::string run_id;

  bool operator==(const MasterLife&) const = default;
};

inline bool Contains(const std::vector<MasterLife>& lives, const MasterLife& life) {
  return std::find(lives.begin(), lives.end(), life) != lives.end();
}

// Who is told from which masters entries are read. None that is new is read from before `confirm` is called, once and
// on any thread; none that is missing after the call, or from before it.
using OnMasters = std::function<void(std::vector<MasterLife> masters, std::function<void()> confirm)>;

}  // namespace larder

#endif  // LARDER_SERVER_REDIS_MASTER_LIFE_H_
