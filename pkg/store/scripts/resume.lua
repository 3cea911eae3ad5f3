-- resume: gives a session's seat to its new connection, and what the peer has missed in the room meanwhile.
-- Safe to send again.
-- KEYS:  see the prelude; 9 tombstone of the calling node
-- ARGV:  7 epoch and 8 number of the last event that the peer has seen, 9 the back-peer event, 10 an epoch for when
--        Redis turns out to have gone back in time, 11 whether all peers are asked for (0/1)
-- Returns {'ok', 0, {room fields}, {peers}, last request, 0} when it is not known what was missed, and otherwise
--         {'ok', 0, {room fields}, {own seat, or peers}, last request, 1, {records}}; {'not_member'}, {'superseded'},
--         {'lapsed'}
-- Caller: Store.Resume
local epoch, since = ARGV[7], tonumber(ARGV[8])
local most_lost = 1000000 -- a client's word alone must not use the numbers up: a script writes 14 digits

if call('EXISTS', KEYS[9]) == 1 then return {'lapsed'} end
local found = call('HMGET', PEERS, PEER, 'r:' .. PEER)
if not found[1] then return {'not_member'} end
local now = call('HMGET', ROOM, 'epoch', 'seq')
if now[1] == epoch and since > tonumber(now[2]) then -- before take, which may number an event
  rebirth(ARGV[10], math.min(since, now[2] + most_lost))
end
local refused = take(PEER, found[1], GENERATION, ARGV[9])
if refused then return {refused} end
local request = tonumber(string.match(found[2] or '0', '^%d+'))
local records = missed(epoch, since)
local reply = look(0, not records or ARGV[11] == '1')
if records and ARGV[11] ~= '1' then
  local own = call('HMGET', PEERS, PEER, 's:' .. PEER)
  reply[4] = {PEER, own[1], 's:' .. PEER, own[2] or ''}
end
reply[5], reply[6], reply[7] = request, records and 1 or 0, records
return reply
