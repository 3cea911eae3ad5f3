-- expire: gives up some of a partition's away seats whose grace is over.
-- Safe to send again, and by several at once: whoever finds a seat gone has nothing to tell.
-- KEYS:  1 away, 2 holders. The rooms are those that it names, see visit.
-- ARGV:  1 unused, 2 key prefix of the partition, 3 '-', the node of away seats, 4 to 6 as in the prelude, 7 most seats,
--        8 to 10 the left-peer event, cut where the room's name and the peer's id belong, 11 Redis' time in ms after
--        which this call is void: it may have waited for Redis through an outage, in which nobody could come back
-- Returns {'ok', seats given up, seats left to give up}
-- Caller: Store.Expire
--@ open tell append commit shift let_go unseat time visit
local head, middle, tail = ARGV[8], ARGV[9], ARGV[10]
local away, now = KEYS[1], now_ms()
HOLDERS = KEYS[2]
if now > tonumber(ARGV[11]) then return {'ok', 0, 0} end
now = ('%d'):format(now)

local expired = 0
for _, entry in ipairs(call('ZRANGEBYSCORE', away, '-inf', now, 'LIMIT', 0, ARGV[7])) do
  local room, peer = visit(entry)
  local seat = room and open('p:' .. peer)[7]
  local place = room and not seat and R.rules and call('HGET', ROOM, 'w:' .. peer)
  if place and place:match('^%S+') == '-' then
    --@ lobby
    unqueue(peer, place, 'expired')
    commit()
    expired = expired + 1
  elseif not seat or seat:match('^%S+') ~= '-' then
    call('ZREM', away, entry)
  else
    unseat(peer, seat, peer, head .. room .. middle .. peer .. tail)
    commit()
    expired = expired + 1
  end
end
return {'ok', expired, call('ZCOUNT', away, '-inf', now)}
