-- Part of join and restore, after held.

-- Tells whether new seats may be taken in the partition. A gate that is missing was lost with Redis' data, with all that
-- was there: it is shut for a time, in which the nodes put their seats back.
local function gate_open(gate, shut)
  local now, opens = now_ms(), call('GET', gate)
  if not opens then
    opens = now + shut
    call('SET', gate, string.format('%d', opens))
  end
  return tonumber(opens) <= now
end

-- Makes the room, without a seat yet.
local function make(epoch, seq, capacity, created, version, locked)
  call('HSET', ROOM, 'epoch', epoch, 'seq', seq, 'capacity', capacity, 'count', 0, 'order', 0, 'created', created,
    'version', version, 'locked', locked)
  call('ZADD', ROOMS, created, string.match(NAME, '/(.*)'))
end

-- Gives the calling node a seat, counted already, and tells the others. Returns the event's number.
local function sit(peer, order, generation, grace, profile, state, body)
  call('HSET', PEERS, peer, NODE .. ' ' .. order .. ' c ' .. generation .. ' ' .. grace .. ' ' .. profile, 's:' .. peer, state)
  call('HINCRBY', NODES, NODE, 1)
  hold(peer)
  return emit('joined-peer', '*', peer, body)
end
