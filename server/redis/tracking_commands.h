// What is said on a connection on which Redis tells of changes. Pure functions.
#ifndef LARDER_SERVER_REDIS_TRACKING_COMMANDS_H_
#define LARDER_SERVER_REDIS_TRACKING_COMMANDS_H_

#include <map>
#include <string>
#include <string_view>

#include "server/redis/redis_pipeline.h"
#include "server/redis/store_commands.h"

namespace larder {

// COHERENCE N2: asks Redis to tell of every change of an entry, or of a control record, of these namespaces.
void AddTracking(RedisPipeline& pipeline, const std::map<std::string, NamespaceKeys>& namespaces);

// Of what a key is that has changed.
struct ChangedKey {
  enum class Kind { kOther, kControlRecord, kEntry };
  Kind kind = Kind::kOther;
  const std::string* name_space = nullptr;  // an entry's, in `namespaces`
  std::string_view key = {};                // an entry's, without what comes before it in Redis
};
ChangedKey ParseChangedKey(std::string_view redis_key, std::string_view prefix,
                           const std::map<std::string, NamespaceKeys>& namespaces);

}  // namespace larder

#endif  // LARDER_SERVER_REDIS_TRACKING_COMMANDS_H_
