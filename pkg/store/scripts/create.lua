-- create: makes a room, without a seat yet, for the operator.
-- Safe to send again: the second one is answered exists, and changes nothing.
-- KEYS:  as of join
-- ARGV:  7 epoch, 8 capacity, 9 locked (0/1), 10 properties as a map of raw texts, '' for none, 11 how long the gate stays shut
--        in ms, 12 the room's life where webhooks are to tell of it, else ''
-- Returns {'ok', 0, {the room}}; {'exists', 0, {the room}}; {'recovering'}
-- Caller: Store.CreateRoom
--@ open append commit time gate make look
local properties = ARGV[10]
open()
if R.epoch then return {'exists', 0, look()} end
if not gate_open(KEYS[8], call('GET', KEYS[8]), ARGV[11]) then return {'recovering'} end
make(ARGV[7], 0, ARGV[8], ('%d'):format(now_ms()), '1', ARGV[9], ARGV[12])
local n = #R.set
R.set[n + 1], R.set[n + 2], R.set[n + 3], R.set[n + 4] = 'seq', '0', 'count', '0'
if properties ~= '' then R.set[n + 5], R.set[n + 6] = 'properties', properties end
commit()
return {'ok', 0, look()}
