-- Part of join and restore, after time and held.

-- Tells whether new seats may be taken in the partition. A gate that is missing was lost with Redis' data, with all that
-- was there: it is shut for a time, in which the nodes put their seats back. One that was found open is '0' from then on.
local function gate_open(gate, opens, shut)
  if opens == '0' then return true end
  local now = now_ms()
  if not opens then
    opens = now + shut
    call('SET', gate, format('%d', opens))
  end
  if tonumber(opens) > now then return false end
  call('SET', gate, '0')
  return true
end

-- Makes the room, without a seat yet.
local function make(new_epoch, number, capacity, created, version, locked)
  epoch, seq = new_epoch, number
  fields.epoch, fields.seq, fields.capacity, fields.count, fields.order = epoch, seq, capacity, '0', '0'
  fields.created, fields.version, fields.locked = created, version, locked
  call('ZADD', ROOMS, created, match(NAME, '/(.*)'))
end

-- Gives the calling node a seat, counted already, and tells the others.
local function sit(peer, order, generation, grace, profile, state, body)
  fields['p:' .. peer] = NODE .. ' ' .. order .. ' c ' .. generation .. ' ' .. grace .. ' ' .. profile
  if state ~= '' then fields['s:' .. peer] = state end
  shift(NODE, 1)
  hold(peer)
  tell('joined-peer', peer, body)
end
