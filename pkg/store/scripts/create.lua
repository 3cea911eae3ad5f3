-- create: makes a room, without a seat yet, for the operator.
-- Safe to send again: the second one is answered exists, and changes nothing.
-- KEYS:  as of join
-- ARGV:  7 epoch, 8 capacity, 9 locked (0/1), 10 properties as a map of raw texts, '' for none, 11 how long the gate stays shut
--        in ms, 12 the room's life where webhooks are to tell of it, else '', 13 its rules, see lobby, 14 how long it lasts in ms, 0 for
--        no end of its own
-- Returns {'ok', 0, {the room}}; {'exists', 0, {the room}}; {'recovering'}
-- Caller: Store.CreateRoom
--@ open append commit time gate make look
local properties = ARGV[10]
open()
if R.epoch then return {'exists', 0, look()} end
if not gate_open(KEYS[8], call('GET', KEYS[8]), ARGV[11]) then return {'recovering'} end
make(ARGV[7], 0, ARGV[8], ('%d'):format(now_ms()), '1', ARGV[9], ARGV[12], ARGV[13])
local n = #R.set
R.set[n + 1], R.set[n + 2], R.set[n + 3], R.set[n + 4] = 'seq', '0', 'count', '0'
if properties ~= '' then R.set[n + 5], R.set[n + 6] = 'properties', properties end
if ARGV[14] ~= '0' then
  local ends, n = ('%d'):format(now_ms() + ARGV[14]), #R.set
  R.set[n + 1], R.set[n + 2] = 'until', ends
  call('ZADD', PREFIX .. 'ends', ends, NAME .. ' u')
end
if R.rules then
  local stays = R.rules:match('^%d+')
  if stays ~= '0' then
    --@ retain
  end
end
commit()
return {'ok', 0, look()}
