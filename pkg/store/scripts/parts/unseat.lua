-- Part of the scripts that give up seats, after held.

-- Takes a peer's seat away and tells it, `except` as in tell; with the last seat the room goes, unless it is to be kept. It
-- removes before it adds: Redis at maxmemory refuses a script's first write if that one needs memory, later ones not.
-- Who leaves last is told to nobody.
local function unseat(peer, seat, except, body, keep)
  local node = match(seat, '^%S+')
  call('HDEL', ROOM, 'p:' .. peer, 's:' .. peer, 'r:' .. peer)
  if node == '-' then
    call('ZREM', AWAY, NAME .. ' ' .. peer)
  else
    let_go(node, NAME .. ' ' .. peer)
  end
  recount(-1)
  if count > 0 or except ~= peer then tell('left-peer', except, body) end
  if count == 0 and not keep then return dissolve() end
  shift(node, -1) -- after the seat's end was told, so that the node is told, too
  if presenter == peer then
    call('HDEL', ROOM, 'presenter')
    presenter = false
    tell('room', '-', '{"type":"room","room":"' .. match(NAME, '/(.*)') .. '","version":'
      .. call('HINCRBY', ROOM, 'version', 1) .. ',"presenter":null}')
  end
end
