#include "server/redis/script_sources.h"

namespace larder {

// COHERENCE E3, E7: an entry counts only if it is ours, whole, and not invalidated. Offsets: docs/envelope.md.
const std::string_view kEntryLibrary = R"lua(
local function to_bytes(hex)
  return (string.gsub(hex, '..', function(digits) return string.char(tonumber(digits, 16)) end))
end

local none = string.rep('\0', 8)
local magic = '\137LDR\1'

local function u64(value)
  return struct.pack('>I8', value)
end

local function are_tags(tags)
  local at = 1
  while at <= #tags do
    local size = string.byte(tags, at)
    if size == 0 then return false end
    at = at + 1 + size
  end
  return at == #tags + 1
end

-- nil: nothing is there. false: what is there is not ours.
local function read_record(key)
  local head = redis.pcall('GETRANGE', key, 0, 351)
  local left = redis.call('PTTL', key)
  -- 0 is a miss to readers too.
  if left == -2 or left == 0 then return nil end
  -- What has no time to live was not written by us.
  if left < 0 or type(head) ~= 'string' or #head < 96 or string.sub(head, 1, 5) ~= magic then return false end
  local flags = string.byte(head, 6)
  local is_placeholder = flags == 2
  if flags > 5 or flags == 3 or string.sub(head, 25, 32) == none then return false end
  local tags_end = 96 + struct.unpack('>I2', head, 89)
  local size = tags_end + struct.unpack('>I2', head, 7) + struct.unpack('>I4', head, 53)
  if redis.call('STRLEN', key) ~= size then return false end
  local tags = ''
  if tags_end > #head then
    tags = redis.call('GETRANGE', key, 96, tags_end - 1)
  elseif tags_end > 96 then
    tags = string.sub(head, 97, tags_end)
  end
  if not are_tags(tags) then return false end
  return {
    is_placeholder = is_placeholder, generation = string.sub(head, 9, 16), epoch = struct.unpack('>I8', head, 17),
    version = string.sub(head, 25, 32), ttl = struct.unpack('>I8', head, 33), age = struct.unpack('>I8', head, 41),
    sizes = string.sub(head, 49, 56), stale = struct.unpack('>I8', head, 57), token = string.sub(head, 65, 72),
    lease_left = struct.unpack('>I8', head, 73), is_waited = string.byte(head, 91) == 3, tags = tags, left = left,
  }
end

local function age_of(record)
  return record.age + math.max(0, record.ttl - record.left)
end

-- Whether the namespace or one of the tags was invalidated, hard, after `epoch`.
local function is_dead(control, tags, epoch)
  if control.all > epoch then return true end
  -- No stamp is later than the clock.
  if control.epoch <= epoch then return false end
  local at = 1
  while at <= #tags do
    local last = at + string.byte(tags, at)
    local stamp = stamp_of(control, 'ht:' .. string.sub(tags, at + 1, last))
    if stamp and tonumber(stamp) > epoch then return true end
    at = last + 1
  end
  return false
end

local function is_valid(record, control)
  return record.generation == to_bytes(control.generation) and not is_dead(control, record.tags, record.epoch)
end
)lua";

namespace {

// COHERENCE E3: the entry is stamped with the position at which it is stored. E2, E4: one that was loaded or read as of
// an older position is not stored after an invalidation since, nor below the fence of a sweep (C4), and carries that
// position. A pattern may have killed what is there: unless the caller knows better, no condition on it is decided
// here.
constexpr std::string_view kWriteBody = R"lua(
local control = read_control(control_key)
if not control then return no_control() end
local members = members_later(control, ARGV[1], ARGV[2])
local record = read_record(KEYS[1])
if is_unjudged(control, record) and record.version ~= ARGV[8] then return unjudged() end
local version, current_epoch = '', 0
if record and not record.is_placeholder and record.version ~= ARGV[8] and is_valid(record, control) then
  version, current_epoch = record.version, record.epoch
end

local function may_be_dead()
  if number_of(control, '#p') == 0 or number_of(control, 'hard') <= current_epoch then return false end
  if version ~= ARGV[9] or control.generation ~= ARGV[1] then return true end
  -- It was judged by all but these; of those that a sweep has retired none is left to be seen.
  for i = 1, #members, 2 do
    local kind = string.sub(members[i], 1, 3)
    if kind == 'hp:' or kind == 'swe' then return true end
  end
  return false
end

local condition = ARGV[3]
local on_current = version ~= '' and (condition == 'present' or (condition == 'version' and version == ARGV[4]))
if on_current and may_be_dead() then return { 2, version, current_epoch, members } end
local applies = on_current or condition == 'none' or (condition == 'absent' and version == '')
local epoch = control.epoch
if ARGV[5] ~= '' then
  epoch = tonumber(ARGV[6])
  local tags_size = struct.unpack('>I2', ARGV[12], 65)
  if ARGV[5] ~= control.generation or epoch > control.epoch or epoch < fence_of(control) or
      is_dead(control, string.sub(ARGV[12], 73, 72 + tags_size), epoch) then
    applies = false
  end
  if ARGV[7] ~= '' then
    -- E2: what is there still bears the token.
    if not record or ARGV[7] == none or record.token ~= ARGV[7] then applies = false end
  elseif record == false then
    -- E7: what is there and is not ours is replaced by a plain Set only.
    applies = false
  end
end
if applies then
  redis.call('SET', KEYS[1], ARGV[11] .. to_bytes(control.generation) .. u64(epoch) .. ARGV[12], 'PX', ARGV[10])
  version, current_epoch = string.sub(ARGV[12], 1, 8), epoch
  tell(control_key, KEYS[1])
  if record and record.is_waited then wake(control_key, KEYS[1]) end
end
return { applies and 1 or 0, version, current_epoch, members }
)lua";

// COHERENCE E6: compare-and-set on a valid entry; its whole life is capped. E5: what an invalidation made stale (its
// time as a stale entry is its whole time to live) is not made fresh again.
constexpr std::string_view kTouchBody = R"lua(
local control = read_control(control_key)
if not control then return no_control() end
local members = members_later(control, ARGV[1], ARGV[2])
local record = read_record(KEYS[1])
if is_unjudged(control, record) then return unjudged() end
if not record or record.is_placeholder or not is_valid(record, control) or record.stale >= record.ttl or
    (ARGV[5] ~= none and ARGV[5] ~= record.version) then
  return { 0, '', 0, 0, members }
end
local age = age_of(record)
local ttl = math.min(tonumber(ARGV[3]) + record.stale, tonumber(ARGV[4]) - age)
tell(control_key, KEYS[1])
if ttl <= 0 then
  redis.call('UNLINK', KEYS[1])
  if record.is_waited then wake(control_key, KEYS[1]) end
  return { 0, '', 0, 0, members }
end
local fresh = math.min(tonumber(ARGV[3]), ttl)
local lease_left = 0
if record.lease_left > 0 and record.left > record.lease_left then
  lease_left = math.max(1, ttl - (record.left - record.lease_left))
end
redis.call('SETRANGE', KEYS[1], 32,
    u64(ttl) .. u64(age) .. record.sizes .. u64(ttl - fresh) .. record.token .. u64(lease_left))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', ttl))
return { 1, record.version, record.epoch, fresh, members }
)lua";

// COHERENCE E2: on a missing or dead key the lease is a placeholder; on an entry that is served meanwhile it stands in
// the entry, which keeps its version. E3: it carries the present epoch.
constexpr std::string_view kLeaseBody = R"lua(
local control = read_control(control_key)
if not control then return no_control() end
local members = members_later(control, ARGV[1], ARGV[2])
local record = read_record(KEYS[1])
if record == false then return { 3, '', '', 0, 0, members } end
local generation = to_bytes(control.generation)
local function note_waiter()
  if not record.is_waited then redis.call('SETRANGE', KEYS[1], 90, '\3') end
end
if record and is_valid(record, control) then
  if record.is_placeholder then
    -- One below the fence is worth nothing: its fill would be refused.
    if record.epoch >= fence_of(control) then
      note_waiter()
      return { 1, record.token, record.generation, record.epoch, record.left, members }
    end
  elseif record.version ~= ARGV[5] then
    return { 2, '', '', 0, 0, members }
  elseif ARGV[6] ~= '1' then
    if record.lease_left > 0 and record.left > record.lease_left then
      note_waiter()
      -- E4: who is served the entry meanwhile has read nothing as of the holder's position.
      return { 1, none, none, 0, record.left - record.lease_left, members }
    end
    redis.call('SETRANGE', KEYS[1], 64, ARGV[3] .. u64(math.max(1, record.left - tonumber(ARGV[4]))))
    return { 0, ARGV[3], generation, control.epoch, tonumber(ARGV[4]), members }
  end
end
redis.call('SET', KEYS[1], ARGV[7] .. generation .. u64(control.epoch) .. ARGV[8], 'PX', ARGV[4])
-- Whoever waits for the lease that this replaces waits for this one.
if record and record.is_waited then redis.call('SETRANGE', KEYS[1], 90, '\3') end
return { 0, ARGV[3], generation, control.epoch, tonumber(ARGV[4]), members }
)lua";

// A stale entry gets the time that it is still to be served for: it lives longer, and as long stale, so that its age
// and the moment at which it became stale stay what they are.
constexpr std::string_view kReleaseBody = R"lua(
local record = read_record(KEYS[1])
if not record or ARGV[1] == none or record.token ~= ARGV[1] then return 0 end
if record.is_placeholder then
  redis.call('UNLINK', KEYS[1])
else
  local left = math.min(record.left - record.stale + tonumber(ARGV[3]), tonumber(ARGV[4]) - age_of(record))
  local more = math.max(0, left - record.left)
  left = record.left + more
  local pause = tonumber(ARGV[2])
  local lease_left = pause > 0 and math.max(1, left - pause) or 0
  redis.call('SETRANGE', KEYS[1], 32, u64(record.ttl + more) .. u64(record.age) .. record.sizes ..
      u64(record.stale + more) .. none .. u64(lease_left))
  if more > 0 then redis.call('PEXPIRE', KEYS[1], string.format('%.0f', left)) end
  if record.is_waited then redis.call('SETRANGE', KEYS[1], 90, '\0') end
end
if record.is_waited then wake(control_key, KEYS[1]) end
return 1
)lua";

// COHERENCE E5: soft makes a new version, and an entry that is stale from now on; both ways destroy placeholders. What
// is dead is removed, and so is what a sweep may have found dead (C4), which would miss it under its new version. Of
// what is simply removed only the bit that tells of leases is looked at, which takes half as long as a byte.
constexpr std::string_view kEraseBody = R"lua(
redis.pcall('ZREM', KEYS[1], '')
local how = ARGV[1]
local erased = 0

local function erase_hard()
  -- This runs for every key that is invalidated: local names and a number that is a string save a third of the time.
  local call, keys, placeholders = redis.pcall, KEYS, {}
  for i = first_entry, #keys do
    local key = keys[i]
    if call('GETBIT', key, '727') == 1 then
      local record = read_record(key)
      if record and record.is_placeholder and not placeholders[key] then
        placeholders[key] = true
        erased = erased - 1
      end
      if record and record.is_waited then wake(control_key, key) end
    end
  end
  erased = erased + redis.call('UNLINK', unpack(keys, first_entry))
end

local function soften(key, record, version)
  redis.call('SETRANGE', key, 24, version .. u64(record.left) .. u64(age_of(record)) .. record.sizes ..
      u64(record.left) .. none .. none)
  if record.is_waited then redis.call('SETRANGE', key, 90, '\0') end
end

local control = how == 'soft' and read_control(control_key)
local swept_below = control and fence_of(control) > number_of(control, 'floor') and fence_of(control) or 0

local function erase_soft(key, version)
  local record = read_record(key)
  if not record then return end
  local is_there = control and not record.is_placeholder and is_valid(record, control)
  if is_there then erased = erased + 1 end
  if is_there and record.epoch >= swept_below then
    soften(key, record, version)
  else
    redis.call('UNLINK', key)
  end
  if record.is_waited then wake(control_key, key) end
end

-- The version alone says that it is ours, and the one that was found.
local function erase_exact(key, version)
  local head = redis.pcall('GETRANGE', key, '0', '90')
  if type(head) ~= 'string' or string.sub(head, 1, 5) ~= magic or string.sub(head, 25, 32) ~= version then return end
  redis.call('UNLINK', key)
  if string.byte(head, 6) ~= 2 then erased = erased + 1 end
  if string.byte(head, 91) == 3 then wake(control_key, key) end
end

-- Also of what is not there: near copies outlive what Redis evicted.
if is_heard(control_key) then
  for i = first_entry, #KEYS do tell(control_key, KEYS[i]) end
end
if how == 'hard' then
  erase_hard()
else
  local erase = how == 'soft' and erase_soft or erase_exact
  for i = first_entry, #KEYS do erase(KEYS[i], ARGV[i - first_entry + 2]) end
end
return erased
)lua";

// COHERENCE C4. What a later release wrote may be alive or dead to who can read it: it is left, and told of. Entries of
// a group share their tags, so that what was found of some is kept for the next. This runs for every key there is:
// local names, and no look at more than the header that says that it is ours, save half of the time. N6: whoever holds
// what is dead knows it by the stamps, and is not told.
constexpr std::string_view kEraseDeadBody = R"lua(
local control = read_control(KEYS[1])
if not control then return no_control() end
redis.call('ZREM', KEYS[1], '')
local members = members_later(control, ARGV[1], ARGV[2])
if control.generation ~= ARGV[3] then return { 0, 0, 0, members } end
local generation = to_bytes(control.generation)
local call, byte, sub, number = redis.pcall, string.byte, string.sub, struct.unpack
local magic_number = number('>I4', magic)
-- No hard stamp is later: most of what was written since needs no look at its tags.
local hard = number_of(control, 'hard')

local stamps = {}
local function latest_of(tags)
  local latest = control.all
  local at = 1
  while at <= #tags do
    local last = at + byte(tags, at)
    local stamp = redis.call('ZSCORE', control.key, 'ht:' .. sub(tags, at + 1, last))
    if stamp then latest = math.max(latest, tonumber(stamp)) end
    at = last + 1
  end
  stamps[tags] = latest
  return latest
end

local function is_dead(key, head, epoch, pattern)
  if pattern and tonumber(pattern) > epoch then return true end
  if hard <= epoch then return false end
  local tags_end = 96 + number('>I2', head, 89)
  local tags = tags_end <= #head and sub(head, 97, tags_end) or redis.call('GETRANGE', key, '96', tags_end - 1)
  return (stamps[tags] or latest_of(tags)) > epoch
end

local keys, patterns = KEYS, ARGV
local dead, erased, newer = {}, 0, 0
for i = 2, #keys do
  local key = keys[i]
  local head = call('GETRANGE', key, '0', '159')
  if type(head) ~= 'string' then
    -- Another type is not ours. Any other error must not look like nothing: the sweep would retire stamps unseen.
    if not head.err or string.sub(head.err, 1, 9) ~= 'WRONGTYPE' then return head end
  elseif #head >= 96 then
    local first, format, flags, _, born, epoch = number('>I4BBI2c8I8', head)
    if first == magic_number and (format > 1 or flags > 7) then
      -- Of another generation it is dead to every release, and without a time to live it is nobody's.
      if born == generation and call('PTTL', key) ~= -1 then newer = 1 end
    elseif first == magic_number and format == 1 and
        (born ~= generation or is_dead(key, head, epoch, patterns[i + 2])) then
      dead[#dead + 1] = key
      if flags ~= 2 then erased = erased + 1 end
      if byte(head, 91) == 3 then wake(keys[1], key) end
    end
  end
end
if #dead > 0 then redis.call('UNLINK', unpack(dead)) end
return { 1, erased, newer, members }
)lua";

}  // namespace

std::string_view EntryScriptSource(Script script) {
  switch (script) {
    case Script::kWrite:
      return kWriteBody;
    case Script::kTouch:
      return kTouchBody;
    case Script::kLease:
      return kLeaseBody;
    case Script::kRelease:
      return kReleaseBody;
    case Script::kErase:
      return kEraseBody;
    case Script::kEraseDead:
      return kEraseDeadBody;
    default:
      return {};
  }
}

}  // namespace larder
