// The Lua scripts that run inside Redis, where several steps must be one.
#ifndef LARDER_SERVER_REDIS_SCRIPTS_H_
#define LARDER_SERVER_REDIS_SCRIPTS_H_

#include <array>
#include <cstddef>
#include <string>

namespace larder {

// Each refuses to run without a control record, with an error that begins with NOCTL, but for kEnsure, which makes it
// (COHERENCE C3), and for those that need none: kRelease and kErase, since no entry is valid then, and for kRegister
// and kSync. Generations are 16 hexadecimal digits, epochs and times (in ms) decimal, versions and tokens 8 bytes as in
// the envelope, eight zeros or nothing for none. `known` is two arguments, generation and epoch; `members` are the
// control record's members later than it with their stamps, all of them if the generation is another than the known
// one.
enum class Script : size_t {
  // KEYS control; ARGV proposed generation, the identities of the servers whose entries are judged by the record, and
  // the
  // names of those that cannot be asked; each a list with commas. An identity in a Cluster is `<name>:<digits>`,
  // elsewhere it has no name.
  // Makes the record, or a new one if a server may have lost what it held when it was recorded. -> members
  kEnsure,
  // KEYS entry, control; ARGV known, condition (none, absent, present or version), its version, as-of generation (or
  // empty), as-of epoch, fill's token (or empty), dead version, alive version, time to live, the envelope up to its
  // generation, and from its version on.
  // -> {1 if applied or 2 if the current version must be judged first, current version (or empty), its epoch, members}
  kWrite,
  // KEYS entry, control; ARGV known, time to live, longest life, version (or zeros).
  // -> {1 if found, version (or empty), epoch, time to live until stale, members}
  kTouch,
  // KEYS entry, control; ARGV known, token, lease, found version, 1 if it was found dead, the placeholder up to its
  // generation, and from its version on.
  // -> {LeaseResult::Outcome, token (or zeros), generation as 8 bytes, epoch, what is left of the lease, members}
  kLease,
  // KEYS entry, control; ARGV token, pause, serve stale for, longest life. -> 1 if the lease was there
  kRelease,
  // KEYS control, entries; ARGV how (hard, soft or exact), then for soft and exact a version for each entry: the new
  // one,
  // or the one (of a placeholder: the token) that alone is removed. -> number of entries removed, placeholders not
  // counted
  kErase,
  // KEYS control; ARGV known, h or s (hard or soft), 1 for the whole namespace, most tags, most patterns, number of
  // tags
  // that follow, tags, patterns. -> {1 if collapsed, members}
  kInvalidateGroups,
  // KEYS control; ARGV new generation. Tells all who wait for a lease. -> members
  kRaiseBarrier,
  // KEYS control, sweep; ARGV known, step (begin, renew, end, or stop, which forgets nothing), sweeper, lease, fence's
  // generation, its epoch.
  // -> {1 if it is the sweeper's, epoch of the fence, members}
  kSweep,
  // KEYS control, entries; ARGV known, fence's generation, then for each entry the latest hard stamp of a pattern that
  // matches it, or 0; or none, if there is none at all. Removes what is dead.
  // -> {1 if the generation is the fence's, entries removed, 1 if any is of a newer format, members}
  kEraseDead,
  // KEYS control; ARGV longest life. Notes the time, and raises the fence to the stamps that may be forgotten.
  // -> {generation, the last epoch whose stamps may be forgotten, or 0}
  kAge,
  // KEYS control; ARGV generation, last epoch, hp (hard patterns) or any, where to go on. Forgets some stamps.
  // -> where to go on, or -1
  kForget,
  // KEYS members; ARGV the server's identity, own id as 16 hexadecimal digits, t (acknowledges) or a (serves by age),
  // bound, hold, sequence, how long it is to last. Needs no control record.
  // -> {since which sequence it has been registered without a gap, 1 if this counts, number of members}
  kRegister,
  // KEYS members; ARGV the server's identity, own id, round, channel to ask on. Needs no control record.
  // -> {age of the record, the members}
  kSync,
  // KEYS control; ARGV known, proposed mark (1 to 2^52, decimal). Has whoever changes an entry, or the record, publish
  // that on `<prefix>:{<namespace>}:changed`: the entry's or the record's key. -> {the mark in force, members}
  kListen,
};
inline constexpr size_t kScriptCount = 15;
inline constexpr size_t kScriptHashBytes = 40;
using ScriptHashes = std::array<std::string, kScriptCount>;

// What a server's scripts look like.
struct ScriptForm {
  // It is Redis 7 or later, where a script may say that it runs when memory is out.
  bool knows_flags = false;
  // Of a Cluster: what works on entries has no control record beside it. Of the first five scripts but kEnsure, and of
  // kErase, KEYS are entries only (of kErase one), and further arguments tell what the record said: its name,
  // generation, epoch, latest hard stamp of the whole and fence, and the version that the caller judged, or * if
  // that does not matter. `members` are empty. Where another version is there than the judged one, which is of the
  // record's generation and not older than that stamp, the script does nothing, and answers an error that begins with
  // UNJUDGED.
  bool told_control = false;
};
std::string ScriptBody(Script script, ScriptForm form);

}  // namespace larder

#endif  // LARDER_SERVER_REDIS_SCRIPTS_H_
