-- leave: gives a seat up and tells the others; the last one to leave takes the room with it.
-- Safe to send again: the second one is answered not_member. With a number it does not give up a seat that was taken
-- after it took effect.
-- KEYS:  see the prelude
-- ARGV:  7 the left-peer event
-- Returns {'ok', seq}, {'repeated', seq}; {'not_member'}, {'fenced'}, {'outcome_unknown'}
-- Caller: Store.Leave
local seats = call('HMGET', PEERS, PEER, 'r:' .. PEER)
local refused = fence(seats[1])
if refused then return {refused} end
return repeated(seats[2]) or {'ok', unseat(PEER, seats[1], PEER, ARGV[7])}
