-- room: changes the room's own fields, if its version is still the caller's, and tells everybody.
-- Takes effect once: the second one is answered as the first, or without a number with conflict.
-- KEYS:  see the prelude
-- ARGV:  7 version, 8 capacity or '', 9 locked (0/1) or '', 10 presenter, '-' for none, or '', 11 spotlight, null for
--        none, or '', 12 most keys and 13 most bytes of the properties, 14 and 15 the room event, cut where the
--        version belongs, 16... pairs of property and raw value
-- Returns {'ok', seq, version}, {'repeated', seq, version or 0}; {'conflict', 0, version}; {'not_member'}, {'fenced'},
--         {'peer_gone'}, {'too_large'}, {'outcome_unknown'}
-- Caller: Store.UpdateRoom
local version, capacity, locked, presenter, spotlight = ARGV[7], ARGV[8], ARGV[9], ARGV[10], ARGV[11]
local max_keys, max_bytes, head, tail = tonumber(ARGV[12]), tonumber(ARGV[13]), ARGV[14], ARGV[15]

local seats = call('HMGET', PEERS, PEER, presenter, 'r:' .. PEER)
local refused = fence(seats[1])
if refused then return {refused} end
local before = repeated(seats[3])
if before then return before end
local now = call('HMGET', ROOM, 'version', 'properties')
if now[1] ~= version then return {'conflict', 0, tonumber(now[1])} end
if presenter ~= '' and presenter ~= '-' and not seats[2] then return {'peer_gone'} end
local properties, status = merge(now[2], 16, max_keys, max_bytes, {})
if not properties then return {status} end

local function write(field, value, none)
  if value == none then call('HDEL', ROOM, field) elseif value ~= '' then call('HSET', ROOM, field, value) end
end
write('capacity', capacity)
write('locked', locked)
write('presenter', presenter, '-')
write('spotlight', spotlight, 'null')
if #ARGV >= 16 then call('HSET', ROOM, 'properties', properties) end
local new_version = call('HINCRBY', ROOM, 'version', 1)
local seq = emit('room', '*', '-', head .. new_version .. tail)
took_effect(seq, new_version)
return {'ok', seq, new_version}
