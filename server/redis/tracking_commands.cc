#include "server/redis/tracking_commands.h"

namespace larder {

void AddTracking(RedisPipeline& pipeline, const std::map<std::string, NamespaceKeys>& namespaces) {
  // Not NOLOOP: where another has touched a key in the same turn, Redis would keep that to itself too.
  pipeline.Begin(4 + 4 * namespaces.size()).Arg("CLIENT").Arg("TRACKING").Arg("ON").Arg("BCAST");
  for (const auto& [name, keys] : namespaces) {
    pipeline.Arg("PREFIX").Arg(keys.entry_prefix).Arg("PREFIX").Arg(keys.control);
  }
}

ChangedKey ParseChangedKey(std::string_view redis_key, std::string_view prefix,
                           const std::map<std::string, NamespaceKeys>& namespaces) {
  // `<prefix>:<namespace>:e:<key>` or `<prefix>:{<namespace>}:ctl`: a namespace's name holds no colon.
  if (!redis_key.starts_with(prefix)) return {};
  const std::string_view rest = redis_key.substr(prefix.size());
  if (rest.starts_with(":{")) return {.kind = ChangedKey::Kind::kControlRecord};
  const size_t end = rest.find(':', 1);
  if (end == std::string_view::npos) return {};
  const auto found = namespaces.find(std::string(rest.substr(1, end - 1)));
  if (found == namespaces.end() || !redis_key.starts_with(found->second.entry_prefix)) return {};
  return {.kind = ChangedKey::Kind::kEntry,
          .name_space = &found->first,
          .key = redis_key.substr(found->second.entry_prefix.size())};
}

}  // namespace larder
