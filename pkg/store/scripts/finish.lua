-- finish: makes an end of some of a partition's rooms: of those that nobody has had a seat in for as long as they stay, and of those whose
-- time is over, with everybody in them.
-- Safe to send again, and by several at once: whoever finds a room gone has nothing to tell.
-- KEYS:  1 ends, 2 holders. The rooms are those that it names, see visit.
-- ARGV:  1 unused, 2 key prefix of the partition, 3 '-', 4 to 6 as in the prelude, 7 most rooms, 8 to 10 the left-peer event, cut where
--        the room's name and the peer's id belong
-- Returns {'ok', rooms that have ended, rooms left to end}
-- Caller: Store.Finish
--@ open tell append commit shift let_go unseat evict time visit
local head, middle, tail = ARGV[8], ARGV[9], ARGV[10]
local ends, now = KEYS[1], ('%d'):format(now_ms())
HOLDERS = KEYS[2]

-- Reports whether the room that is open is to end, by an entry of a kind.
local function over(kind, last)
  if kind == 'u' then return last and tonumber(last) <= tonumber(now) end
  local waited_for = R.rules and R.rules:match('^%S+ %S+ %S+ %S+ ')
  return R.count == 0 and not waited_for
end

local finished = 0
for _, entry in ipairs(call('ZRANGEBYSCORE', ends, '-inf', now, 'LIMIT', 0, ARGV[7])) do
  local room, kind = visit(entry)
  local last = room and open('until')[7]
  call('ZREM', ends, entry)
  if room and R.epoch and over(kind, last) then
    evict('expired', head .. room .. middle, tail)
    commit()
    finished = finished + 1
  end
end
return {'ok', finished, call('ZCOUNT', ends, '-inf', now)}
