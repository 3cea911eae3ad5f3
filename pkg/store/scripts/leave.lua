-- leave: gives a seat up and tells the others; the last one to leave takes the room with it.
-- Safe to send again: the second one is answered not_member.
-- KEYS:  see the prelude
-- ARGV:  7 the left-peer event
-- Returns {'ok', seq}; {'not_member'}, {'fenced'}
-- Caller: Store.Leave
local seat = call('HGET', PEERS, PEER)
local refused = fence(seat)
if refused then return {refused} end
return {'ok', unseat(PEER, seat, PEER, ARGV[7])}
