-- room: changes the room's own fields, if its version is still the caller's, and tells everybody.
-- Safe to send again: the second one is answered conflict.
-- KEYS:  see the prelude
-- ARGV:  5 version, 6 capacity or '', 7 locked (0/1) or '', 8 presenter, '-' for none, or '', 9 spotlight, null for
--        none, or '', 10 most keys and 11 most bytes of the properties, 12 and 13 the room event, cut where the
--        version belongs, 14... pairs of property and raw value
-- Returns {'ok', seq, version}; {'conflict', 0, version}; {'not_member'}, {'fenced'}, {'peer_gone'}, {'too_large'}
-- Caller: Store.UpdateRoom
local version, capacity, locked, presenter, spotlight = ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local max_keys, max_bytes, head, tail = tonumber(ARGV[10]), tonumber(ARGV[11]), ARGV[12], ARGV[13]

local seats = call('HMGET', PEERS, PEER, presenter)
local refused = fence(seats[1])
if refused then return {refused} end
local now = call('HMGET', ROOM, 'version', 'properties')
if now[1] ~= version then return {'conflict', 0, tonumber(now[1])} end
if presenter ~= '' and presenter ~= '-' and not seats[2] then return {'peer_gone'} end
local properties, status = merge(now[2], 14, max_keys, max_bytes, {})
if not properties then return {status} end

local function write(field, value, none)
  if value == none then call('HDEL', ROOM, field) elseif value ~= '' then call('HSET', ROOM, field, value) end
end
write('capacity', capacity)
write('locked', locked)
write('presenter', presenter, '-')
write('spotlight', spotlight, 'null')
if #ARGV >= 14 then call('HSET', ROOM, 'properties', properties) end
local new_version = call('HINCRBY', ROOM, 'version', 1)
return {'ok', emit('room', '*', '-', head .. new_version .. tail), new_version}
