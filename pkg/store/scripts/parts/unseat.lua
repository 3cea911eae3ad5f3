-- Part of the scripts that give up seats, after held.

-- Takes a seat out of what is kept of its node; with the last one the node hears of the room no more. Called after what
-- the seat's end tells, so that the node is told, too.
local function uncount(node)
  if node ~= '-' and call('HINCRBY', NODES, node, -1) == 0 then call('HDEL', NODES, node) end
end

-- Takes a peer's seat away and tells it, `except` as in emit; with the last seat the room goes. It removes
-- before it adds: Redis at maxmemory refuses a script's first write if that one needs memory, later ones not.
-- Returns the last sequence number.
local function unseat(peer, seat, except, body)
  local node = node_of(seat)
  call('HDEL', PEERS, peer, 's:' .. peer, 'r:' .. peer)
  if node == '-' then
    call('ZREM', AWAY, NAME .. ' ' .. peer)
  else
    let_go(node, NAME .. ' ' .. peer)
  end
  local count = call('HINCRBY', ROOM, 'count', -1)
  local seq = count == 0 and except == peer and tonumber(call('HGET', ROOM, 'seq'))
    or emit('left-peer', '*', except, body)
  if count == 0 then
    call('DEL', ROOM, PEERS, NODES, LOG)
    call('ZREM', ROOMS, string.match(NAME, '/(.*)'))
    return seq
  end
  uncount(node)
  if call('HGET', ROOM, 'presenter') == peer then
    call('HDEL', ROOM, 'presenter')
    seq = emit('room', '*', '-', '{"type":"room","room":"' .. string.match(NAME, '/(.*)') .. '","version":'
      .. call('HINCRBY', ROOM, 'version', 1) .. ',"presenter":null}')
  end
  return seq
end
