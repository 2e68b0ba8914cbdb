// The scripts over the members record, a sorted set that docs/envelope.md describes. It has no time to live, so that it
// is not evicted where only what has one is.
#include "server/redis/script_sources.h"

namespace larder {

const std::string_view kMembersLibrary = R"lua(
local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- Members and scores, the head first; nil if there is no record that was made on this server (COHERENCE C3).
local function read_members(key, identity)
  local all = redis.pcall('ZRANGEBYSCORE', key, '-inf', '+inf', 'WITHSCORES')
  if all.err or all[1] ~= 'head:1:' .. identity then return nil, all end
  return all, all
end

local function later_format(all)
  local format = not all.err and string.match(all[1] or '', '^head:(%d+):')
  if not format or format == '1' then return nil end
  return redis.error_reply('MEMFORMAT the members record is of format ' .. format .. ', which this release cannot read')
end
)lua";

namespace {

// COHERENCE S1: says since which of its registrations the member has been there. One whose time is over counts as gone,
// and is removed.
constexpr std::string_view kRegisterBody = R"lua(
local all, found = read_members(KEYS[1], ARGV[1])
local refusal = later_format(found)
if refusal then return refusal end
local now = now_ms()
if all then
  redis.call('ZREM', KEYS[1], '')
else
  redis.call('UNLINK', KEYS[1])
end
-- A clock that went back would make the record seem to begin in the future.
if not all or -tonumber(all[2]) > now then
  redis.call('ZADD', KEYS[1], string.format('-%.0f', now), 'head:1:' .. ARGV[1])
end
local since, counts, members = ARGV[6], 1, 1
for i = 3, all and #all or 0, 2 do
  local id, sequence, first = string.match(all[i], '^(%x+):%a:%d+:%d+:(%d+):(%d+)$')
  local alive = id and tonumber(all[i + 1]) > now
  if id ~= ARGV[2] then
    if alive then members = members + 1 else redis.call('ZREM', KEYS[1], all[i]) end
  elseif tonumber(sequence) > tonumber(ARGV[6]) then
    counts = 0
  else
    if alive then since = first end
    redis.call('ZREM', KEYS[1], all[i])
  end
end
if counts == 1 then
  local member = table.concat({ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], since}, ':')
  redis.call('ZADD', KEYS[1], string.format('%.0f', now + tonumber(ARGV[7])), member)
end
return {tonumber(since), counts, members}
)lua";

// COHERENCE S2: reads who is there, and asks them. Where publishing is not allowed nobody acknowledges.
constexpr std::string_view kSyncBody = R"lua(
local all, found = read_members(KEYS[1], ARGV[1])
local refusal = later_format(found)
if refusal then return refusal end
if not all then return {0, {}} end
local now = now_ms()
local members, asked = {}, false
for i = 3, #all, 2 do
  local id, kind = string.match(all[i], '^(%x+):(%a):')
  if tonumber(all[i + 1]) > now then
    members[#members + 1] = all[i]
    asked = asked or (kind == 't' and id ~= ARGV[2])
  end
end
if asked then redis.pcall('PUBLISH', ARGV[4], ARGV[2] .. ' ' .. ARGV[3]) end
return {math.max(0, now + tonumber(all[2])), members}
)lua";

}  // namespace

std::string_view MembersScriptSource(Script script) {
  if (script == Script::kRegister) return kRegisterBody;
  if (script == Script::kSync) return kSyncBody;
  return {};
}

}  // namespace larder
