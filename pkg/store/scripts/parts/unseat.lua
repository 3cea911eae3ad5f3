-- Part of leave, control and reap, after the prelude.

-- Takes a peer's seat away and tells it, `except` as in emit; with the last seat the room goes. It removes
-- before it adds: Redis at maxmemory refuses a script's first write if that one needs memory, later ones not.
-- Returns the last sequence number.
local function unseat(peer, node, held, except, body)
  call('HDEL', PEERS, peer, 's:' .. peer)
  call('SREM', held, NAME .. ' ' .. peer)
  local count = call('HINCRBY', ROOM, 'count', -1)
  local seq = count == 0 and except == peer and tonumber(call('HGET', ROOM, 'seq'))
    or emit('left-peer', '*', except, body)
  if count == 0 then
    call('DEL', ROOM, PEERS, NODES, LOG)
    call('ZREM', ROOMS, string.match(NAME, '/(.*)'))
    return seq
  end
  if call('HINCRBY', NODES, node, -1) == 0 then call('HDEL', NODES, node) end
  if call('HGET', ROOM, 'presenter') == peer then
    call('HDEL', ROOM, 'presenter')
    seq = emit('room', '*', '-', '{"type":"room","room":"' .. string.match(NAME, '/(.*)') .. '","version":'
      .. call('HINCRBY', ROOM, 'version', 1) .. ',"presenter":null}')
  end
  return seq
end
