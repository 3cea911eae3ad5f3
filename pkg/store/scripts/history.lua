-- history: gives the last messages that are kept of a topic. Changes nothing.
-- KEYS:  as of keep
-- ARGV:  7 topic, 8 most messages, 9 the number of the message that those wanted are before, or 0
-- Returns {'ok', seq of the room's last event, epoch, messages dropped before, {messages}}; {'not_member'}, {'fenced'}, {'no_room'}
-- Caller: Store.History
--@ fence
local list, most, before = KEYS[3], tonumber(ARGV[8]), tonumber(ARGV[9])
local got = call('HMGET', ROOM, 'p:' .. PEER, 'seq', 'epoch', 'k:' .. ARGV[7])
local refused = fence(got[1])
if refused then return {refused} end
local dropped = (got[4] or '0 0'):match(' (%d+)')
local first, behind = 0, call('LLEN', list) -- behind the last one wanted
if before > 0 then -- the numbers rise
  while first < behind do
    local middle = math.floor((first + behind) / 2)
    if tonumber(call('LINDEX', list, ('%d'):format(middle)):match('^%d+')) < before then first = middle + 1 else behind = middle end
  end
end
local messages = {}
if behind > 0 then messages = call('LRANGE', list, ('%d'):format(math.max(behind - most, 0)), ('%d'):format(behind - 1)) end
return {'ok', tonumber(got[2]), got[3], tonumber(dropped), messages}
