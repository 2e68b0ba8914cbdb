// The Lua scripts that run inside Redis, where several steps must be one.
#ifndef LARDER_SERVER_REDIS_SCRIPTS_H_
#define LARDER_SERVER_REDIS_SCRIPTS_H_

#include <array>
#include <cstddef>
#include <string>

namespace larder {

// Each refuses to run without a control record, with an error that begins with NOCTL, but for kEnsure, which makes it
// (COHERENCE C3). Positions are handed in as (generation in 16 hexadecimal digits, epoch in decimal) and handed out as
// the control record's members later than the known position with their stamps; as all of them if the generation is
// another than the known one.
enum class Script : size_t {
  // KEYS control; ARGV proposed generation, the server's identity.
  // Makes the record, or a new one if the server is not the one that it was made on. -> members
  kEnsure,
  // KEYS entry, control; ARGV known generation, known epoch, condition (none, absent, present or version), its version
  // (8 bytes), as-of generation (or empty), as-of epoch, time to live in ms, the envelope up to its generation, and
  // from its version on. -> {1 if applied, current version (8 bytes, or empty), members}
  kWrite,
  // KEYS entry, control; ARGV known generation, known epoch, time to live in ms, longest life in ms.
  // -> {1 if found, version (8 bytes, or empty), time to live in ms, members}
  kTouch,
  // KEYS control; ARGV known generation, known epoch. -> members
  kInvalidateAll,
  // KEYS control; ARGV new generation. -> members
  kRaiseBarrier,
};
inline constexpr size_t kScriptCount = 5;
inline constexpr size_t kScriptHashBytes = 40;
using ScriptHashes = std::array<std::string, kScriptCount>;

// `server_knows_flags`: it is Redis 7 or later, where a script may say that it runs when memory is out.
std::string ScriptBody(Script script, bool server_knows_flags);

}  // namespace larder

#endif  // LARDER_SERVER_REDIS_SCRIPTS_H_
