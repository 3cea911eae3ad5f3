-- leave: gives a seat up and tells the others; the last one to leave takes the room with it.
-- Safe to send again: the second one is answered not_member.
-- KEYS:  see the prelude
-- ARGV:  5 the left-peer event
-- Returns {'ok', seq}; {'not_member'}, {'fenced'}
-- Caller: Store.Leave
local body = ARGV[5]

local refused = fence(call('HGET', PEERS, PEER))
if refused then return {refused} end
return {'ok', unseat(PEER, NODE, HELD, PEER, body)}
