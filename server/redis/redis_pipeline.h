// Commands to Redis as they go over the wire.
#ifndef LARDER_SERVER_REDIS_REDIS_PIPELINE_H_
#define LARDER_SERVER_REDIS_REDIS_PIPELINE_H_

#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/redis/scripts.h"

namespace larder {

// A sequence of commands, each composed argument by argument with its length, so that any byte may stand in any of
// them. Copies what it is given. Not thread-safe.
class RedisPipeline {
 public:
  // One whole command.
  RedisPipeline& Add(std::initializer_list<std::string_view> args);

  // A command of `args` arguments, its name included; that many calls of Arg() must follow.
  RedisPipeline& Begin(size_t args);
  // The next argument, in up to three pieces.
  RedisPipeline& Arg(std::string_view first, std::string_view second = {}, std::string_view third = {});

  // EVALSHA of `script` with `keys` keys; `keys` + `args` calls of Arg() must follow. The hash is put in by FillHashes.
  RedisPipeline& BeginScript(Script script, size_t keys, size_t args);

  // SCRIPT LOAD.
  RedisPipeline& AddLoad(Script script, ScriptForm form);

  // Puts the hashes in that Redis gave the scripts.
  void FillHashes(const ScriptHashes& hashes);

  // Adds the other's commands after this one's.
  void Append(const RedisPipeline& other);

  // The same commands, each after an ASKING.
  RedisPipeline Asking() const;

  size_t size() const { return begins_.size(); }
  size_t bytes() const { return text_.size(); }
  std::string_view command(size_t i) const;

 private:
  std::string text_;
  std::vector<size_t> begins_;                          // where each command begins in text_
  std::vector<std::pair<size_t, Script>> hash_places_;  // where a hash stands in text_
};

}  // namespace larder

#endif  // LARDER_SERVER_REDIS_REDIS_PIPELINE_H_
