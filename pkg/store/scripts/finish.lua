-- finish: makes an end of some of a partition's rooms: of those that nobody has had a seat in for as long as they stay, and of those whose
-- time is over, with everybody in them.
-- Safe to send again, and by several at once: whoever finds a room gone has nothing to tell.
-- KEYS:  1 ends, 2 holders. The rooms are those that it names, see visit.
-- ARGV:  1 unused, 2 key prefix of the partition, 3 '-', 4 to 6 as in the prelude, 7 most rooms, 8 to 10 the left-peer event, cut where
--        the room's name and the peer's id belong
-- Returns {'ok', rooms that have ended, rooms left to end}
-- Caller: Store.Finish
--@ open tell append commit shift let_go unseat time visit
local head, middle, tail = ARGV[8], ARGV[9], ARGV[10]
local ends, now = KEYS[1], ('%d'):format(now_ms())
HOLDERS = KEYS[2]

local finished = 0
for _, entry in ipairs(call('ZRANGEBYSCORE', ends, '-inf', now, 'LIMIT', 0, ARGV[7])) do
  local room, kind = visit(entry)
  local last = room and open('until')[7]
  call('ZREM', ends, entry)
  if not room or not R.epoch then -- gone
  elseif kind == 'u' and last and tonumber(last) <= tonumber(now) or kind == 'k' and R.count == 0 and not (R.rules or ''):match('^%S+ %S+ %S+ %S+ ') then
    --@ lobby
    local all = call('HGETALL', ROOM)
    R.closing = 'expired'
    for i = 1, #all, 2 do
      local peer, waiter, node = all[i]:match('^p:(.*)'), all[i]:match('^w:(.*)'), all[i + 1]:match('^%S+')
      if peer then
        unseat(peer, all[i + 1], '-', head .. room .. middle .. peer .. tail, true)
      elseif waiter and node == '-' then
        call('ZREM', AWAY, NAME .. ' ' .. waiter)
      elseif waiter then
        let_go(node, NAME .. ' ' .. waiter)
        post(node, 'denied', waiter, ',"reason":"expired"')
      end
    end
    --@ dissolve
    commit()
    finished = finished + 1
  end
end
return {'ok', finished, call('ZCOUNT', ends, '-inf', now)}
