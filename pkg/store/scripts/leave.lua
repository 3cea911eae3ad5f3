-- leave: gives a seat up and tells the others; the last one to leave takes the room with it.
-- Safe to send again: the second one is answered not_member. With a number it does not give up a seat that was taken
-- after it took effect.
-- KEYS:  see the prelude
-- ARGV:  7 the left-peer event
-- Returns {'ok', seq}, {'repeated', seq}; {'not_member'}, {'fenced'}, {'outcome_unknown'}
-- Caller: Store.Leave
--@ open fence once tell append commit shift let_go unseat
local got = open('p:' .. PEER, 'r:' .. PEER)
local refused = fence(got[7])
if refused then return {refused} end
local before = repeated(got[8], REQUEST)
if before then return before end
unseat(PEER, got[7], PEER, ARGV[7])
commit()
return {'ok', R.seq}
