-- lose: notes that a seat's connection is lost. With a grace the seat is kept that long, away; without one it is given
-- up. The others are told.
-- Safe to send again: the second one is answered fenced, or not_member.
-- KEYS:  see the prelude
-- ARGV:  7 the away-peer event, 8 the left-peer event
-- Returns {'ok', seq}; {'not_member'}, {'fenced'}
-- Caller: Store.Lose
--@ open fence tell append commit shift let_go unseat time depart
local seat = open('p:' .. PEER)[7]
local place = not seat and R.rules and call('HGET', ROOM, 'w:' .. PEER)
local refused = fence(seat or place)
if refused then return {refused} end
if place then
  --@ lobby
  lose_place(PEER, place)
else
  depart(PEER, seat, ARGV[7], ARGV[8])
end
commit()
return {'ok', R.seq}
