-- room: changes the room's own fields, if its version is still the caller's, and tells everybody. Who waits is seated where that lets them.
-- Takes effect once: the second one is answered as the first, or without a number with conflict.
-- KEYS:  see the prelude
-- ARGV:  7 version, 8 capacity or '', 9 locked (0/1) or '', 10 presenter, '-' for none, or '', 11 spotlight, null for
--        none, or '', 12 most keys and 13 most bytes of the properties, 14 and 15 the room event, cut where the
--        version belongs, 16... pairs of property and raw value
-- Returns {'ok', seq, version}, {'repeated', seq, version or 0}; {'conflict', 0, version}; {'not_member'}, {'fenced'}, {'no_room'},
--         {'peer_gone'}, {'too_large'}, {'outcome_unknown'}
-- Caller: Store.UpdateRoom
--@ open fence once tell append commit took merge
local version, capacity, locked, presenter, spotlight = ARGV[7], ARGV[8], ARGV[9], ARGV[10], ARGV[11]
local max_keys, max_bytes, head, tail = tonumber(ARGV[12]), tonumber(ARGV[13]), ARGV[14], ARGV[15]

local got = open('p:' .. PEER, 'p:' .. presenter, 'r:' .. PEER, 'version', 'properties')
local refused = fence(got[7])
if refused then return {refused} end
local before = repeated(got[9], REQUEST)
if before then return before end
if got[10] ~= version then return {'conflict', 0, tonumber(got[10])} end
if presenter ~= '' and presenter ~= '-' and not got[8] then return {'peer_gone'} end
local properties, status = merge(got[11], 16, max_keys, max_bytes, {})
if not properties then return {status} end

local function write(field, value, none)
  if value == none then return call('HDEL', ROOM, field) end
  local n = #R.set
  if value ~= '' then R.set[n + 1], R.set[n + 2] = field, value end
end
write('capacity', capacity)
write('locked', locked)
write('presenter', presenter, '-')
write('spotlight', spotlight, 'null')
local new_version = ('%d'):format(version + 1)
write('version', new_version)
local n = #R.set
if #ARGV >= 16 then R.set[n + 1], R.set[n + 2] = 'properties', properties end
tell('room', '-', head .. new_version .. tail)
took_effect(new_version)
local seq = R.seq
if R.rules and (capacity ~= '' or locked == '0') then
  --@ shift lobby
  call_next(capacity ~= '' and capacity or nil, locked ~= '' and locked or nil)
end
commit()
return {'ok', seq, tonumber(new_version)}
