// The messages of Stats.
#ifndef LARDER_SERVER_RPC_STATS_WIRE_H_
#define LARDER_SERVER_RPC_STATS_WIRE_H_

#include <string_view>

#include "larder/v1/cache.pb.h"
#include "server/engine/cache_engine.h"
#include "server/store/store.h"

namespace larder {

v1::CacheStats ToMessage(const KeyspaceStats& stats);
v1::StoreStats ToMessage(const StoreInfo& info, std::string_view coherence_mode);

}  // namespace larder

#endif  // LARDER_SERVER_RPC_STATS_WIRE_H_
