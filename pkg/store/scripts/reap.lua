-- reap: gives up some of the seats that a dead node holds in one partition, as the node itself would have done, and sees
-- to it that the node gets none there any more.
-- Safe to send again, and by several at once: whoever finds a seat gone has nothing to tell.
-- KEYS:  1 held set of the dead node, 2 its tombstone. The rooms are those that the held set names, which no caller can
--        know: their keys are made from a prefix. They carry the same hash tag, so they lie in the same slot.
-- ARGV:  1 key prefix of the partition, 2 inbox channel prefix, 3 dead node, 4 unused, 5 most seats, 6 life of the
--        tombstone in ms, 7 to 9 the left-peer event, cut where the room's name and the peer's id belong
-- Returns {'ok', seats given up, seats left}
-- Caller: Store.Reap
local prefix, most, dead_life = ARGV[1], ARGV[5], ARGV[6]
local head, middle, tail = ARGV[7], ARGV[8], ARGV[9]
HELD = KEYS[1]

local reaped = 0
for _, entry in ipairs(call('SRANDMEMBER', HELD, most)) do
  local app, room, peer = string.match(entry, '^([^/]*)/(%S*) (.*)$')
  if app then -- the prelude speaks of this room from here on
    NAME, ROOMS = app .. '/' .. room, prefix .. 'rooms:' .. app
    ROOM, PEERS = prefix .. 'room:' .. NAME, prefix .. 'peers:' .. NAME
    NODES, LOG = prefix .. 'nodes:' .. NAME, prefix .. 'log:' .. NAME
  end
  if not app or fence(call('HGET', PEERS, peer)) then
    call('SREM', HELD, entry) -- no seat, one that is gone, or another node's by now
  else
    unseat(peer, NODE, HELD, peer, head .. room .. middle .. peer .. tail)
    reaped = reaped + 1
  end
end
-- Last, because it adds (see unseat), and in the same instant.
call('SET', KEYS[2], 1, 'PX', dead_life)
return {'ok', reaped, call('SCARD', HELD)}
