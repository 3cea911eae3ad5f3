-- send: relays one message to one peer or to everybody. The hot path.
-- Takes effect once, if the request has a number.
-- KEYS:  see the prelude. Where a peer is missing the partition's gate is looked at, see join: its key carries the same hash
--        tag, so it lies in the same slot.
-- ARGV:  7 event type, 8 receiver or *, 9 excepted peer or -, 10 volatile (0/1), 11 the event
-- Returns {'ok', seq}, {'repeated', seq}; {'not_member'}, {'fenced'}, {'peer_gone'}, {'recovering'}, {'outcome_unknown'}
-- Caller: Store.Send
local kind, to, except, volatile, body = ARGV[7], ARGV[8], ARGV[9], ARGV[10] == '1', ARGV[11]

local seats -- no peer is called *
if REQUEST == '0' then seats = call('HMGET', PEERS, PEER, to) else seats = call('HMGET', PEERS, PEER, to, 'r:' .. PEER) end
local refused = fence(seats[1])
if refused then return {refused} end
local before = repeated(seats[3])
if before then return before end
if to ~= '*' and not seats[2] then
  -- While seats that were lost with Redis' data are put back, nobody knows who is gone.
  local gate = call('GET', PREFIX .. 'gate')
  return {(not gate or gate ~= '0' and tonumber(gate) > now_ms()) and 'recovering' or 'peer_gone'}
end
local seq = emit(kind, to, except, body, volatile, seats[2] and node_of(seats[2]))
took_effect(seq)
return {'ok', seq}
