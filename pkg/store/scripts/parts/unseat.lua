-- Part of the scripts that give up seats, after tell, shift and let_go.

-- Takes a peer's seat away and tells it, `except` as in tell; with the last seat the room goes, unless it is to be kept. It
-- removes before it adds: Redis at maxmemory refuses a script's first write if that one needs memory, later ones not.
-- Who leaves last is told to nobody, unless the room may stay.
local function unseat(peer, seat, except, body, keep)
  local node = seat:match('^%S+')
  call('HDEL', ROOM, 'p:' .. peer, 's:' .. peer, 'r:' .. peer)
  if node == '-' then
    call('ZREM', AWAY, NAME .. ' ' .. peer)
  else
    let_go(node, NAME .. ' ' .. peer)
  end
  R.count = R.count - 1
  if R.count > 0 or except ~= peer or R.rules then tell('left-peer', except, body) end
  if R.out then
    local entered = call('HGET', ROOM, 'j:' .. peer)
    call('HDEL', ROOM, 'j:' .. peer)
    --@ exited
  end
  if R.count == 0 and not keep and not R.rules then
    --@ dissolve
    return
  end
  shift(node, -1) -- after the seat's end was told, so that the node is told, too
  if R.presenter == peer and not R.closing then
    local successor
    call('HDEL', ROOM, 'presenter')
    --@ successor
    if successor then call('HSET', ROOM, 'presenter', successor) end
    R.presenter = successor or false
    tell('room', '-', '{"type":"room","room":"' .. NAME:match('/(.*)') .. '","version":'
      .. call('HINCRBY', ROOM, 'version', 1) .. ',"presenter":' .. (successor and '"' .. successor .. '"' or 'null') .. '}')
  end
  if R.rules and not keep then
    --@ lobby
    if not call_next() then
      --@ dissolve
    end
  end
end
