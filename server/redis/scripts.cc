#include "server/redis/scripts.h"

#include <string_view>

#include "absl/strings/str_replace.h"
#include "core/planted.h"
#include "server/redis/script_sources.h"

namespace larder {
namespace {

// COHERENCE C6: an invalidation must not fail because memory is out. Before Redis 7 there is no such flag, but a
// script that has written is let through: so each such script first runs a command that writes and takes no memory.
constexpr std::string_view kAllowOutOfMemory = "#!lua flags=allow-oom\n";

}  // namespace

std::string ScriptBody(Script script, bool server_knows_flags) {
  const std::string_view control_source = ControlScriptSource(script);
  const std::string_view members_source = MembersScriptSource(script);
  std::string body;
  const bool invalidates = !control_source.empty() || script == Script::kErase || script == Script::kEraseDead;
  // Nor must the near tier end with it, for want of a registration.
  const bool registers = script == Script::kRegister;
  if ((invalidates || registers) && server_knows_flags) body.append(kAllowOutOfMemory);
  if (!members_source.empty()) return body.append(kMembersLibrary).append(members_source);
  body.append(kControlLibrary);
  if (!control_source.empty()) return body.append(control_source);
  body.append(kEntryLibrary).append(EntryScriptSource(script));
  if (Planted(Bug::kNoSweepFence)) absl::StrReplaceAll({{"epoch < fence_of(control)", "false"}}, &body);
  return body;
}

}  // namespace larder
