-- reap: ends a dead node's hold on some of its seats in one partition, as the node itself would have done when it lost
-- their connections, and sees to it that the node gets none there any more.
-- Safe to send again, and by several at once: whoever finds a seat gone has nothing to tell.
-- KEYS:  1 held set of the dead node, 2 its tombstone, 3 holders. The rooms are those that the held set names, see visit.
-- ARGV:  1 unused, 2 key prefix of the partition, 3 dead node, 4 to 6 as in the prelude, 7 most seats, 8 life of the
--        tombstone in ms, 9 to 11 the left-peer event and 12 to 14 the away-peer event, cut where the room's name and the
--        peer's id belong
-- Returns {'ok', seats taken from the node, seats left}
-- Caller: Store.Reap
--@ open tell append commit shift let_go unseat time depart visit
local held, tombstone = KEYS[1], KEYS[2]
HOLDERS = KEYS[3]

let_go(NODE, '') -- removes no seat: a write that needs no memory has the one that needs it pass at maxmemory
local reaped = 0
for _, entry in ipairs(call('SRANDMEMBER', held, ARGV[7])) do
  local room, peer = visit(entry)
  local seat = room and open('p:' .. peer)[7]
  if room then R.dead = NODE end
  local place = room and not seat and R.rules and call('HGET', ROOM, 'w:' .. peer)
  if place and place:match('^%S+') == NODE then
    --@ lobby
    lose_place(peer, place)
    commit()
    reaped = reaped + 1
  elseif not seat or seat:match('^%S+') ~= NODE then
    let_go(NODE, entry) -- no seat, one that is gone, or another node's by now
  else
    depart(peer, seat, ARGV[12] .. room .. ARGV[13] .. peer .. ARGV[14], ARGV[9] .. room .. ARGV[10] .. peer .. ARGV[11])
    commit()
    reaped = reaped + 1
  end
end
-- In the same instant.
call('SET', tombstone, 1, 'PX', ARGV[8])
return {'ok', reaped, call('SCARD', held)}
