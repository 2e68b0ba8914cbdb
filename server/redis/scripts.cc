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

// Where entries' scripts find the name of the control record, and the first of their entries.
constexpr std::string_view kControlBesideEntry = "local control_key, first_entry = KEYS[2], 1\n";
constexpr std::string_view kControlBesideEntries = "local control_key, first_entry = KEYS[1], 2\n";
constexpr std::string_view kControlElsewhere = "local first_entry = 1\n";

// COHERENCE N5: tags are looked at by whoever has the record.
constexpr std::string_view kNothingToJudge = "local function is_unjudged() return false end\nlocal unjudged\n";
constexpr std::string_view kJudging = R"lua(
local function is_unjudged(control, record)
  return record and not record.is_placeholder and control.judged ~= '*' and record.version ~= control.judged and
      record.generation == to_bytes(control.generation) and record.epoch >= control.all
end

local function unjudged()
  return redis.error_reply('UNJUDGED another entry is there than the one that was judged')
end
)lua";

std::string EntryScriptBody(Script script, bool told_control) {
  std::string body(told_control ? kToldControlLibrary : kControlLibrary);
  body.append(kAnyControlLibrary).append(kEntryLibrary);
  if (told_control) {
    body.append(kControlElsewhere).append(kJudging);
  } else {
    const bool has_many = script == Script::kErase || script == Script::kEraseDead;
    body.append(has_many ? kControlBesideEntries : kControlBesideEntry).append(kNothingToJudge);
  }
  return body.append(EntryScriptSource(script));
}

}  // namespace

std::string ScriptBody(Script script, ScriptForm form) {
  const std::string_view control_source = ControlScriptSource(script);
  const std::string_view members_source = MembersScriptSource(script);
  std::string body;
  const bool invalidates = !control_source.empty() || script == Script::kErase || script == Script::kEraseDead;
  // Nor must the near tier end with it, for want of a registration.
  const bool registers = script == Script::kRegister;
  if ((invalidates || registers) && form.knows_flags) body.append(kAllowOutOfMemory);
  if (!members_source.empty()) return body.append(kMembersLibrary).append(members_source);
  if (!control_source.empty()) {
    return body.append(kControlLibrary).append(kAnyControlLibrary).append(control_source);
  }
  body.append(EntryScriptBody(script, form.told_control));
  if (Planted(Bug::kNoSweepFence)) absl::StrReplaceAll({{"epoch < fence_of(control)", "false"}}, &body);
  return body;
}

}  // namespace larder
