-- close: makes an end of a room: every peer loses its seat, and is told.
-- Safe to send again: the second one is answered no_room, or not_member.
-- KEYS:  see the prelude
-- ARGV:  7 and 8 the left-peer event, cut where the peer's id belongs
-- Returns {'ok', seq, seats given up}; {'no_room'}, {'not_member'}, {'fenced'}
-- Caller: Store.CloseRoom
--@ open fence tell append commit shift let_go unseat
local refused = fence(open('p:' .. PEER)[7])
if refused then return {refused} end
local all, closed = call('HGETALL', ROOM), 0
--@ lobby
for i = 1, #all, 2 do
  local peer = all[i]:match('^p:(.*)')
  if peer then
    closed = closed + 1
    unseat(peer, all[i + 1], '-', ARGV[7] .. peer .. ARGV[8], true)
  end
  local waiter, node = all[i]:match('^w:(.*)'), all[i + 1]:match('^%S+')
  if waiter and node == '-' then
    call('ZREM', AWAY, NAME .. ' ' .. waiter)
  elseif waiter then
    let_go(node, NAME .. ' ' .. waiter)
    post(node, 'denied', waiter, ',"reason":"closed"')
  end
end
R.closing = 'closed'
--@ dissolve
commit()
return {'ok', R.seq, closed}
