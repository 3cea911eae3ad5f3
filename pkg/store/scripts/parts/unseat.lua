-- Part of the scripts that give up seats, after tell, shift and let_go.

-- Takes a peer's seat away and tells it, `except` as in tell; with the last seat the room goes, unless it is to be kept. It
-- removes before it adds: Redis at maxmemory refuses a script's first write if that one needs memory, later ones not.
-- Who leaves last is told to nobody.
local function unseat(peer, seat, except, body, keep)
  local node = seat:match('^%S+')
  call('HDEL', ROOM, 'p:' .. peer, 's:' .. peer, 'r:' .. peer)
  if node == '-' then
    call('ZREM', AWAY, NAME .. ' ' .. peer)
  else
    let_go(node, NAME .. ' ' .. peer)
  end
  R.count = R.count - 1
  if R.count > 0 or except ~= peer then tell('left-peer', except, body) end
  if R.out then
    local entered = call('HGET', ROOM, 'j:' .. peer)
    call('HDEL', ROOM, 'j:' .. peer)
    --@ exited
  end
  if R.count == 0 and not keep then
    --@ dissolve
    return
  end
  shift(node, -1) -- after the seat's end was told, so that the node is told, too
  if R.presenter == peer then
    call('HDEL', ROOM, 'presenter')
    R.presenter = false
    tell('room', '-', '{"type":"room","room":"' .. NAME:match('/(.*)') .. '","version":'
      .. call('HINCRBY', ROOM, 'version', 1) .. ',"presenter":null}')
  end
end
