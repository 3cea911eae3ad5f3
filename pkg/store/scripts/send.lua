-- send: relays one message to one peer or to everybody. The hot path.
-- Not safe to send again: each time is another event.
-- KEYS:  see the prelude
-- ARGV:  5 event type, 6 receiver or *, 7 excepted peer or -, 8 volatile (0/1), 9 the event
-- Returns {'ok', seq}; {'not_member'}, {'fenced'}, {'peer_gone'}
-- Caller: Store.Send
local kind, to, except, volatile, body = ARGV[5], ARGV[6], ARGV[7], ARGV[8] == '1', ARGV[9]

if to == '*' then
  local refused = fence(call('HGET', PEERS, PEER))
  if refused then return {refused} end
  return {'ok', emit(kind, to, except, body, volatile)}
end

local seats = call('HMGET', PEERS, PEER, to)
local refused = fence(seats[1])
if refused then return {refused} end
if not seats[2] then return {'peer_gone'} end
return {'ok', emit(kind, to, except, body, volatile, node_of(seats[2]))}
