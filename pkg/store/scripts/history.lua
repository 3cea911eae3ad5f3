-- history: gives the last messages that are kept of a topic. Changes nothing.
-- KEYS:  as of keep
-- ARGV:  7 topic, 8 most messages
-- Returns {'ok', seq of the room's last event, epoch, messages dropped before, {messages}}; {'not_member'}, {'fenced'}, {'no_room'}
-- Caller: Store.History
--@ fence
local got = call('HMGET', ROOM, 'p:' .. PEER, 'seq', 'epoch', 'k:' .. ARGV[7])
local refused = fence(got[1])
if refused then return {refused} end
local dropped = (got[4] or '0 0'):match(' (%d+)')
return {'ok', tonumber(got[2]), got[3], tonumber(dropped), call('LRANGE', KEYS[3], '-' .. ARGV[8], '-1')}
