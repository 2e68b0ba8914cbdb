#include "server/redis/script_sources.h"

namespace larder {

// COHERENCE C1, C3: what every script needs of the control record.
const std::string_view kControlLibrary = R"lua(
local function read_control(key)
  local top = redis.pcall('ZREVRANGE', key, 0, 0)
  if top.err or not top[1] or string.sub(top[1], 1, 7) ~= 'head:1:' then return nil end
  local epoch = redis.call('ZSCORE', key, 'epoch')
  if not epoch then return nil end
  local all = redis.call('ZSCORE', key, 'all') or '0'
  return {
    key = key, head = top[1], generation = string.sub(top[1], 8, 23), epoch = tonumber(epoch), all = tonumber(all),
  }
end

local function members_later(control, generation, epoch)
  if control.generation ~= generation then epoch = '0' end
  return redis.call('ZRANGEBYSCORE', control.key, '(' .. epoch, '+inf', 'WITHSCORES')
end

local function stamp_of(control, member)
  return redis.call('ZSCORE', control.key, member)
end

local function hide(control, member, number)
  if number == 0 then
    redis.call('ZREM', control.key, member)
  else
    redis.call('ZADD', control.key, string.format('-%.0f', number), member)
  end
end

local function is_heard(control_key)
  return type(redis.pcall('ZSCORE', control_key, 'listeners')) == 'string'
end
)lua";

// COHERENCE N5: the record is on another server, where it was read just before; what the script needs of it is told in
// the last arguments. Stamps of tags are not: whoever runs the script has looked at them.
const std::string_view kToldControlLibrary = R"lua(
local told = #ARGV - 6
local control_key = ARGV[told + 1]

local function read_control()
  return {
    generation = ARGV[told + 2], epoch = tonumber(ARGV[told + 3]), all = tonumber(ARGV[told + 4]),
    -- No stamp is retired, so that no sweep is one that something must not escape.
    fence = ARGV[told + 5], floor = ARGV[told + 5], judged = ARGV[told + 6],
  }
end

local function members_later()
  return {}
end

local function stamp_of(control, member)
  return control[member]
end

-- In a Cluster nobody listens to what is published.
local function is_heard()
  return false
end
)lua";

const std::string_view kAnyControlLibrary = R"lua(
-- The number that a member stands for. Those that readers must not see are kept below zero.
local function number_of(control, member)
  return math.abs(tonumber(stamp_of(control, member) or '0'))
end

local function fence_of(control)
  return number_of(control, 'fence')
end

-- COHERENCE P3: whoever was refused the lease may look again; without a key, whoever was refused any. A refusal to
-- publish must not undo what was written.
local function wake(control_key, key)
  redis.pcall('PUBLISH', string.sub(control_key, 1, -4) .. 'wake', key)
end

-- COHERENCE N6: to those who are not told by Redis itself, in the step that changes what is under the key. If it may not
-- be published their mark goes instead: they find that, and know that they have missed something.
local function tell(control_key, key)
  if not is_heard(control_key) then return end
  local told = redis.pcall('PUBLISH', string.sub(control_key, 1, -4) .. 'changed', key)
  if type(told) == 'table' and told.err then redis.call('ZREM', control_key, 'listeners') end
end

local function no_control()
  return redis.error_reply('NOCTL the namespace has no control record')
end
)lua";

namespace {

// COHERENCE C3: compare-and-set by the servers' identities, so that of several replicas that find another server, or no
// record, one sets the generation and the others take it. A damaged record, or another type, is as good as none.
//
// Of a Cluster the record names each master with the life that it was in. Nothing is lost as long as whoever has slots
// now is in a life that the record names: what it has was there all the time, or came from one that was. A life that
// the record does not name may have begun with older data, but only where one that it names has ended: else a master
// has joined, which got what it has from the others. One that had slots and has none has ended as what it was, whether
// it can be asked or not, and one that had none and has some has begun. Of one without slots that is not there it only
// matters if it is there in another life: it may have had keys of a slot that was on its way. Of one that has slots and
// cannot be asked the record keeps what it says, and while it does not name such a one, of the others that have ended
// too. A life is `name:number`, followed by `:0` where it has no slots, and by `:x` where it has ended and it is not
// known yet what that means.
constexpr std::string_view kEnsureBody = R"lua(
local top = redis.pcall('ZREVRANGE', KEYS[1], 0, 0)
local head = not top.err and top[1] or ''
local format = string.match(head, '^head:(%d+):')
if format and format ~= '1' then
  return redis.error_reply('CTLFORMAT the control record is of format ' .. format .. ', which this release cannot read')
end
local recorded = string.sub(head, 25)

local function name_of(item)
  return string.match(item, '^[^:]*')
end

local function life_of(item)
  return (string.gsub(item, ':[0x]$', ''))
end

local there, unknown, known, names = {}, {}, {}, {}
local is_there = {}
for item in string.gmatch(ARGV[2], '[^,]+') do there[life_of(item)], is_there[name_of(item)] = item, true end
for name in string.gmatch(ARGV[3], '[^,]+') do unknown[name] = true end
local kept, ended = '', ''
for item in string.gmatch(recorded, '[^,]+') do
  local life, name = life_of(item), name_of(item)
  local had_slots = item == life
  if item == life .. ':x' then
    ended = ended .. ',' .. item
  else
    known[life], names[name] = known[life] or had_slots, true
    if not there[life] and unknown[name] then
      kept = kept .. ',' .. item
    elseif had_slots and there[life] ~= life or not had_slots and not there[life] and is_there[name] then
      ended = ended .. ',' .. life .. ':x'
    end
  end
end
local has_begun, is_open = false, false
for life, item in pairs(there) do
  has_begun = has_begun or known[life] == nil or (item == life and not known[life])
end
for name in pairs(unknown) do is_open = is_open or not names[name] end
local lost = recorded == '' or (ended ~= '' and has_begun)
local identities = ARGV[2] .. kept .. (is_open and not lost and ended or '')

if lost or not read_control(KEYS[1]) then
  if top.err or top[1] then
    redis.call('UNLINK', KEYS[1])
  else
    redis.call('ZREM', KEYS[1], '')
  end
  redis.call('ZADD', KEYS[1], '+inf', 'head:1:' .. ARGV[1] .. ':' .. identities, '1', 'epoch')
  wake(KEYS[1], '')
elseif identities ~= recorded then
  redis.call('ZREM', KEYS[1], head)
  redis.call('ZADD', KEYS[1], '+inf', string.sub(head, 1, 24) .. identities)
end
if ARGV[4] == '0' then return {} end
return redis.call('ZRANGEBYSCORE', KEYS[1], '(0', '+inf', 'WITHSCORES')
)lua";

// COHERENCE C1: the clock ticks and the stamps are set in one step. C5: too many of them become one.
constexpr std::string_view kInvalidateGroupsBody = R"lua(
local control = read_control(KEYS[1])
if not control then return no_control() end
redis.call('ZREM', KEYS[1], '')
local epoch = control.epoch + 1
local score = string.format('%.0f', epoch)
local kind = ARGV[3]
local is_all = ARGV[4] == '1'
local last_tag = 7 + tonumber(ARGV[7])

-- Many at a time, but fewer than Lua can pass on its stack.
local function stamp(first, last, prefix)
  local added = 0
  for from = first, last, 1000 do
    local members = {}
    for i = from, math.min(from + 999, last) do
      members[#members + 1] = score
      members[#members + 1] = prefix .. ARGV[i]
    end
    added = added + redis.call('ZADD', KEYS[1], unpack(members))
  end
  return added
end

local function is_too_many(counter, added, limit)
  local count = number_of(control, counter) + added
  if added > 0 then hide(control, counter, count) end
  return count > tonumber(limit)
end

-- Nothing from before counts any more, so that no other stamp does either. The old record is freed outside the script.
local function start_over()
  local hidden = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(0', 'WITHSCORES')
  redis.call('UNLINK', KEYS[1])
  redis.call('ZADD', KEYS[1], '+inf', control.head, score, 'epoch', score, 'all')
  for i = 1, #hidden, 2 do
    if hidden[i] ~= '#t' and hidden[i] ~= '#p' then redis.call('ZADD', KEYS[1], hidden[i + 1], hidden[i]) end
  end
  -- Every lease is dead too.
  wake(KEYS[1], '')
end

redis.call('ZADD', KEYS[1], score, 'epoch')
local collapsed = false
if is_all and kind == 's' then
  redis.call('ZADD', KEYS[1], score, 'soft:all')
elseif not is_all then
  local too_many_tags = is_too_many('#t', stamp(8, last_tag, kind .. 't:'), ARGV[5])
  local too_many_patterns = is_too_many('#p', stamp(last_tag + 1, #ARGV, kind .. 'p:'), ARGV[6])
  collapsed = too_many_tags or too_many_patterns
end
if collapsed or (is_all and kind == 'h') then start_over() end
if collapsed or kind == 'h' then hide(control, 'hard', epoch) end
tell(KEYS[1], KEYS[1])
return { collapsed and 1 or 0, members_later(control, ARGV[1], ARGV[2]) }
)lua";

// COHERENCE C3: a new generation on the same server. Nothing older is valid whatever its epoch, so the clock starts
// anew.
constexpr std::string_view kRaiseBarrierBody = R"lua(
local control = read_control(KEYS[1])
if not control then return no_control() end
tell(KEYS[1], KEYS[1])
redis.call('UNLINK', KEYS[1])
redis.call('ZADD', KEYS[1], '+inf', 'head:1:' .. ARGV[1] .. string.sub(control.head, 24), '1', 'epoch')
wake(KEYS[1], '')
return redis.call('ZRANGEBYSCORE', KEYS[1], '(0', '+inf', 'WITHSCORES')
)lua";

// COHERENCE C4: the fence comes before the sweep, so that nothing older is stored behind its back; the floor comes
// before the stamps are forgotten, so that nobody misses one unknowingly.
constexpr std::string_view kSweepBody = R"lua(
local control = read_control(KEYS[1])
if not control then return no_control() end
redis.call('ZREM', KEYS[1], '')
local step, sweeper = ARGV[3], ARGV[4]
local holder = redis.call('GET', KEYS[2])
local mine = holder == sweeper
local fence = tonumber(ARGV[7])
if step == 'begin' then
  local swept = math.max(number_of(control, 'floor'), number_of(control, 'cleaned'))
  mine = number_of(control, 'hard') > swept and (mine or not holder)
  fence = control.epoch
  if mine then hide(control, 'fence', fence) end
else
  -- The right alone does not say that the sweep is of this generation.
  mine = mine and ARGV[6] == control.generation
end
if mine and step == 'end' then
  local floor = number_of(control, 'floor')
  if fence > floor then
    -- Told as news of its own: readers may let go of the stamps too.
    local tick = string.format('%.0f', control.epoch + 1)
    redis.call('ZREM', KEYS[1], string.format('swept:%.0f', floor))
    redis.call('ZADD', KEYS[1], tick, 'epoch', tick, string.format('swept:%.0f', fence))
    hide(control, 'floor', fence)
    tell(KEYS[1], KEYS[1])
  end
  redis.call('UNLINK', KEYS[2])
elseif mine and step == 'stop' then
  hide(control, 'cleaned', math.max(fence, number_of(control, 'cleaned')))
  redis.call('UNLINK', KEYS[2])
elseif mine then
  redis.call('SET', KEYS[2], sweeper, 'PX', ARGV[5])
end
return { mine and 1 or 0, fence, members_later(control, ARGV[1], ARGV[2]) }
)lua";

// COHERENCE C4: a stamp may go once everything that is older has reached the end of its life. Checkpoints say when the
// clock stood where, by Redis' own time: what it holds expires by that same time, so that a jump of it is a jump of
// both. A write from before, which could still be on its way, is kept out by the fence.
constexpr std::string_view kAgeBody = R"lua(
local control = read_control(KEYS[1])
if not control then return no_control() end
redis.call('ZREM', KEYS[1], '')
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local hidden = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(0', 'WITHSCORES')

local life = tonumber(ARGV[1])
for i = 1, #hidden, 2 do
  local told = string.match(hidden[i], '^life:(%d+)$')
  if told then
    life = math.max(life, tonumber(told))
    redis.call('ZREM', KEYS[1], hidden[i])
  end
end
hide(control, string.format('life:%.0f', life), 1)

local up_to, last_epoch, last_time = 0, 0, 0
for i = 1, #hidden, 2 do
  local at = tonumber(string.match(hidden[i], '^at:(%d+)$'))
  if at then
    local epoch = math.abs(tonumber(hidden[i + 1]))
    if epoch > last_epoch then last_epoch, last_time = epoch, at end
    if now - at >= life then
      up_to = math.max(up_to, epoch)
      redis.call('ZREM', KEYS[1], hidden[i])
    end
  end
end
-- A few checkpoints in a life are enough.
if control.epoch > last_epoch and (now < last_time or now - last_time >= life / 16) then
  hide(control, string.format('at:%.0f', now), control.epoch)
end
if up_to > fence_of(control) then hide(control, 'fence', up_to) end

-- Nobody has listened for a while. Whoever does after all makes another mark, and knows by that what it has missed.
local listened = number_of(control, 'listened')
if listened ~= 0 and math.abs(now - listened) > 600000 then redis.call('ZREM', KEYS[1], 'listeners', 'listened') end
return { control.generation, up_to }
)lua";

// COHERENCE N6: the mark that has changes published. It is random, so that one that was lost and made again is another.
// When it was last asked for is noted once a minute, since whoever tracks hears of each change of this record.
constexpr std::string_view kListenBody = R"lua(
local control = read_control(KEYS[1])
if not control then return no_control() end
redis.call('ZREM', KEYS[1], '')
local mark = number_of(control, 'listeners')
if mark == 0 then
  mark = tonumber(ARGV[3])
  hide(control, 'listeners', mark)
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
if math.abs(now - number_of(control, 'listened')) > 60000 then hide(control, 'listened', now) end
return { string.format('%.0f', mark), members_later(control, ARGV[1], ARGV[2]) }
)lua";

// One page at a time, so that nobody waits for a long one.
constexpr std::string_view kForgetBody = R"lua(
local control = read_control(KEYS[1])
if not control then return no_control() end
redis.call('ZREM', KEYS[1], '')
if ARGV[1] ~= control.generation then return -1 end
local page = 2000
local members = redis.call('ZRANGEBYSCORE', KEYS[1], '(0', ARGV[2], 'LIMIT', ARGV[4], page)
local gone, tags, patterns = {}, 0, 0
for _, member in ipairs(members) do
  local kind = string.sub(member, 1, 3)
  local is_pattern = kind == 'hp:' or (kind == 'sp:' and ARGV[3] == 'any')
  local is_tag = ARGV[3] == 'any' and (kind == 'ht:' or kind == 'st:')
  if is_tag then tags = tags + 1 end
  if is_pattern then patterns = patterns + 1 end
  if is_tag or is_pattern or (ARGV[3] == 'any' and (member == 'all' or member == 'soft:all')) then
    gone[#gone + 1] = member
  end
end
if #gone > 0 then redis.call('ZREM', KEYS[1], unpack(gone)) end
if tags > 0 then hide(control, '#t', math.max(0, number_of(control, '#t') - tags)) end
if patterns > 0 then hide(control, '#p', math.max(0, number_of(control, '#p') - patterns)) end
return #members < page and -1 or tonumber(ARGV[4]) + #members - #gone
)lua";

}  // namespace

std::string_view ControlScriptSource(Script script) {
  switch (script) {
    case Script::kEnsure:
      return kEnsureBody;
    case Script::kInvalidateGroups:
      return kInvalidateGroupsBody;
    case Script::kRaiseBarrier:
      return kRaiseBarrierBody;
    case Script::kSweep:
      return kSweepBody;
    case Script::kAge:
      return kAgeBody;
    case Script::kForget:
      return kForgetBody;
    case Script::kListen:
      return kListenBody;
    default:
      return {};
  }
}

}  // namespace larder
