-- resume: gives a session's seat to its new connection, and what the peer has missed in the room meanwhile.
-- Safe to send again.
-- KEYS:  see the prelude; 7 tombstone of the calling node
-- ARGV:  7 epoch and 8 number of the last event that the peer has seen, 9 the back-peer event, 10 an epoch for when
--        Redis turns out to have gone back in time, 11 whether all peers are asked for (0/1)
-- Returns {'ok', 0, {the room}, last request, 0} when it is not known what was missed, and otherwise {'ok', 0, {the room, with
--         the own seat or all}, last request, 1, {records}}; {'waiting', ...} as of join;
--         {'not_member'}, {'superseded'}, {'lapsed'}
-- Caller: Store.Resume
--@ open tell append commit shift hold let_go take log missed
local of_epoch, since = ARGV[7], tonumber(ARGV[8])
local most_lost = 1000000 -- a client's word alone must not use the numbers up: a script writes 14 digits

if call('EXISTS', KEYS[7]) == 1 then return {'lapsed'} end
local got = open('p:' .. PEER, 'r:' .. PEER)
local place = not got[7] and R.rules and call('HGET', ROOM, 'w:' .. PEER)
if place then
  --@ look lobby
  local refused = take_place(PEER, place)
  if refused then return {refused} end
  commit()
  return place_of(PEER, arrived_of(place))
end
if not got[7] then return {'not_member'} end
if of_epoch == R.epoch and since > R.seq then -- before take, which may number an event
  --@ rebirth
  rebirth(ARGV[10], math.min(since, R.seq + most_lost))
end
local refused = take(PEER, got[7], GENERATION, ARGV[9])
commit() -- a rebirth, also of one that is refused
if refused then return {refused} end
local records = missed(of_epoch, since)
local room
if not records or ARGV[11] == '1' then
  room = call('HGETALL', ROOM)
else
  --@ look
  room = look()
  for _, field in ipairs({'p:' .. PEER, 's:' .. PEER, R.out and 'j:' .. PEER or nil}) do
    table.insert(room, field)
    table.insert(room, call('HGET', ROOM, field) or '')
  end
end
return {'ok', 0, room, tonumber((got[8] or '0'):match('^%d+')), records and 1 or 0, records}
