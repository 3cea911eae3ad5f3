-- leave: gives a seat up, or a place in the queue, and tells the others; the last one to leave takes the room with it.
-- Safe to send again: the second one is answered not_member. With a number it does not give up a seat that was taken
-- after it took effect.
-- KEYS:  see the prelude
-- ARGV:  7 the left-peer event
-- Returns {'ok', seq}, {'repeated', seq}; {'not_member'}, {'fenced'}, {'outcome_unknown'}
-- Caller: Store.Leave
--@ open fence once tell append commit shift let_go unseat
local got = open('p:' .. PEER, 'r:' .. PEER)
local place = not got[7] and R.rules and call('HGET', ROOM, 'w:' .. PEER)
local refused = fence(got[7] or place)
if refused then return {refused} end
local before = repeated(got[8], REQUEST)
if before then return before end
if place then
  --@ lobby
  unqueue(PEER, place, 'left')
else
  unseat(PEER, got[7], PEER, ARGV[7])
end
commit()
return {'ok', R.seq}
