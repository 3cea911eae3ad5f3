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

local got = open('p:' .. PEER, 'p:' .. presenter, 'r:' .. PEER, 'version', 'properties')
local refused = fence(got[5])
if refused then return {refused} end
local before = repeated(got[7])
if before then return before end
if got[8] ~= version then return {'conflict', 0, tonumber(got[8])} end
if presenter ~= '' and presenter ~= '-' and not got[6] then return {'peer_gone'} end
local properties, status = merge(got[9], 16, max_keys, max_bytes, {})
if not properties then return {status} end

local function write(field, value, none)
  if value == none then call('HDEL', ROOM, field) elseif value ~= '' then fields[field] = value end
end
write('capacity', capacity)
write('locked', locked)
write('presenter', presenter, '-')
write('spotlight', spotlight, 'null')
if #ARGV >= 16 then fields.properties = properties end
local new_version = version + 1
fields.version = format('%d', new_version)
tell('room', '-', head .. fields.version .. tail)
took_effect(fields.version)
commit()
return {'ok', seq, new_version}
