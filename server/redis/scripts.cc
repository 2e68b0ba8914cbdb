#include "server/redis/scripts.h"

#include <string_view>

namespace larder {
namespace {

// COHERENCE C6: an invalidation must not fail because memory is out. Before Redis 7 there is no such flag, but a
// script that has written is let through: so each control script first runs a command that writes and takes no memory.
constexpr std::string_view kAllowOutOfMemory = "#!lua flags=allow-oom\n";

// COHERENCE C1, C3: what every script needs of the control record.
constexpr std::string_view kControl = R"lua(
local function read_control(key)
  local top = redis.pcall('ZREVRANGE', key, 0, 0)
  if top.err or not top[1] or string.sub(top[1], 1, 7) ~= 'head:1:' then return nil end
  local epoch = redis.call('ZSCORE', key, 'epoch')
  if not epoch then return nil end
  local all = redis.call('ZSCORE', key, 'all') or '0'
  return { generation = string.sub(top[1], 8, 23), epoch = tonumber(epoch), all = tonumber(all) }
end

local function members_later(key, control, generation, epoch)
  if control.generation ~= generation then epoch = '0' end
  return redis.call('ZRANGEBYSCORE', key, '(' .. epoch, '+inf', 'WITHSCORES')
end

local function no_control()
  return redis.error_reply('NOCTL the namespace has no control record')
end
)lua";

// COHERENCE E3, E7: an entry counts only if it is ours, whole, and not invalidated. Offsets: docs/envelope.md.
constexpr std::string_view kEntry = R"lua(
local function to_bytes(hex)
  return (string.gsub(hex, '..', function(digits) return string.char(tonumber(digits, 16)) end))
end

local function whole_header(key)
  local header = redis.pcall('GETRANGE', key, 0, 55)
  if type(header) ~= 'string' or #header < 56 then return nil end
  if string.sub(header, 1, 5) ~= '\137LDR\1' or string.byte(header, 6) > 1 then return nil end
  if redis.call('STRLEN', key) ~= 56 + struct.unpack('>I2', header, 7) + struct.unpack('>I4', header, 53) then
    return nil
  end
  return header
end

local function valid_header(key, control)
  local header = whole_header(key)
  if not header then return nil end
  if string.sub(header, 9, 16) ~= to_bytes(control.generation) then return nil end
  if struct.unpack('>I8', header, 17) < control.all then return nil end
  -- 0 is a miss to readers too. Negative: it has no time to live, and so is not ours.
  if redis.call('PTTL', key) <= 0 then return nil end
  return header
end
)lua";

// COHERENCE C3: compare-and-set by the server's identity, so that of several replicas that find another server, or
// no record, one sets the generation and the others take it. A damaged record, or another type, is as good as none.
constexpr std::string_view kEnsureBody = R"lua(
local top = redis.pcall('ZREVRANGE', KEYS[1], 0, 0)
local head = not top.err and top[1] or ''
local format = string.match(head, '^head:(%d+):')
if format and format ~= '1' then
  return redis.error_reply('CTLFORMAT the control record is of format ' .. format .. ', which this release cannot read')
end
if not read_control(KEYS[1]) or string.sub(head, 25) ~= ARGV[2] then
  redis.call('DEL', KEYS[1])
  redis.call('ZADD', KEYS[1], '+inf', 'head:1:' .. ARGV[1] .. ':' .. ARGV[2], '1', 'epoch')
end
return redis.call('ZRANGEBYSCORE', KEYS[1], '(0', '+inf', 'WITHSCORES')
)lua";

// COHERENCE E3: the entry is stamped with the position at which it is stored. E4: one that was read as of an older
// position is not stored after an invalidation since, and carries that position.
constexpr std::string_view kWriteBody = R"lua(
local control = read_control(KEYS[2])
if not control then return no_control() end
local header = valid_header(KEYS[1], control)
local version = header and string.sub(header, 25, 32) or ''
local condition = ARGV[3]
local applies = condition == 'none' or (condition == 'absent' and version == '') or
    (condition == 'present' and version ~= '') or (condition == 'version' and version == ARGV[4])
local epoch = control.epoch
if ARGV[5] ~= '' then
  epoch = tonumber(ARGV[6])
  if ARGV[5] ~= control.generation or control.all > epoch then applies = false end
  -- E7: what is there and is not ours is replaced by a plain Set only. -2: nothing is there.
  if not whole_header(KEYS[1]) and redis.call('PTTL', KEYS[1]) ~= -2 then applies = false end
end
if applies then
  redis.call('SET', KEYS[1], ARGV[8] .. to_bytes(control.generation) .. struct.pack('>I8', epoch) .. ARGV[9],
      'PX', ARGV[7])
  version = string.sub(ARGV[9], 1, 8)
end
return { applies and 1 or 0, version, members_later(KEYS[2], control, ARGV[1], ARGV[2]) }
)lua";

// COHERENCE E6: compare-and-set on a valid entry; its whole life is capped.
constexpr std::string_view kTouchBody = R"lua(
local control = read_control(KEYS[2])
if not control then return no_control() end
local members = members_later(KEYS[2], control, ARGV[1], ARGV[2])
local header = valid_header(KEYS[1], control)
if not header then return { 0, '', 0, members } end
local age = struct.unpack('>I8', header, 41)
local left = redis.call('PTTL', KEYS[1])
age = age + math.max(0, struct.unpack('>I8', header, 33) - left)
local ttl = math.min(tonumber(ARGV[3]), tonumber(ARGV[4]) - age)
if ttl <= 0 then
  redis.call('UNLINK', KEYS[1])
  return { 0, '', 0, members }
end
redis.call('SETRANGE', KEYS[1], 32, struct.pack('>I8', ttl) .. struct.pack('>I8', age))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', ttl))
return { 1, string.sub(header, 25, 32), ttl, members }
)lua";

// COHERENCE C1: the clock ticks and the stamp is set in one step.
constexpr std::string_view kInvalidateAllBody = R"lua(
local control = read_control(KEYS[1])
if not control then return no_control() end
redis.call('ZREM', KEYS[1], '')
local epoch = string.format('%.0f', control.epoch + 1)
redis.call('ZADD', KEYS[1], epoch, 'epoch', epoch, 'all')
return members_later(KEYS[1], control, ARGV[1], ARGV[2])
)lua";

// COHERENCE C3: a new generation on the same server. Nothing older is valid whatever its epoch, so the clock starts
// anew.
constexpr std::string_view kRaiseBarrierBody = R"lua(
local control = read_control(KEYS[1])
if not control then return no_control() end
local identity = string.sub(redis.call('ZREVRANGE', KEYS[1], 0, 0)[1], 25)
redis.call('DEL', KEYS[1])
redis.call('ZADD', KEYS[1], '+inf', 'head:1:' .. ARGV[1] .. ':' .. identity, '1', 'epoch')
return redis.call('ZRANGEBYSCORE', KEYS[1], '(0', '+inf', 'WITHSCORES')
)lua";

struct Source {
  bool is_control;  // works on the control record alone
  std::string_view body;
};

Source SourceOf(Script script) {
  switch (script) {
    case Script::kEnsure:
      return {true, kEnsureBody};
    case Script::kWrite:
      return {false, kWriteBody};
    case Script::kTouch:
      return {false, kTouchBody};
    case Script::kInvalidateAll:
      return {true, kInvalidateAllBody};
    case Script::kRaiseBarrier:
      return {true, kRaiseBarrierBody};
  }
  return {false, {}};
}

}  // namespace

std::string ScriptBody(Script script, bool server_knows_flags) {
  const Source source = SourceOf(script);
  std::string body;
  if (source.is_control && server_knows_flags) body.append(kAllowOutOfMemory);
  body.append(kControl);
  if (!source.is_control) body.append(kEntry);
  return body.append(source.body);
}

}  // namespace larder
