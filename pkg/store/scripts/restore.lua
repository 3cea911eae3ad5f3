-- restore: brings a room in line with what the calling node knows of its own seats in it, after Redis has lost data:
-- seats that are missing are put back, the room itself, too, and those that the node does not know are given up.
-- Safe to send again.
-- KEYS:  see the prelude; 8 tombstone of the calling node, 9 gate of the partition; the calling peer is ''
-- ARGV:  7 epoch, 8 number of the last event that the node has seen, 9 an epoch for a room that was lost, 10 to 16
--        capacity, locked, presenter, spotlight, properties, created (ms), version of a room that has to be made again,
--        17 how long the gate stays shut in ms, 18 and 19 the left-peer event, cut where the peer's id belongs; then for
--        each seat peer, generation, order, grace, profile, state, joined-peer event, back-peer event. A generation of
--        '' is a seat that is being asked for: it is let alone.
-- Returns {'ok', 1 if data was lost else 0, {room fields}, {peers}, {peer, status, ...}}; {'lapsed'}. A status is held,
--         added, full, or superseded: a later connection has the seat.
-- Caller: Store.Restore
local epoch, since, new_epoch, gate = ARGV[7], tonumber(ARGV[8]), ARGV[9], KEYS[9]

if call('EXISTS', KEYS[8]) == 1 then return {'lapsed'} end
local lost = 0
if call('EXISTS', gate) == 0 then call('SET', gate, string.format('%d', now_ms() + ARGV[17])) end
local now = call('HMGET', ROOM, 'epoch', 'seq')
if not now[1] then
  lost = 1
  call('HSET', ROOM, 'epoch', new_epoch, 'seq', since, 'capacity', ARGV[10], 'count', 0, 'order', 0, 'created', ARGV[15],
    'version', ARGV[16], 'locked', ARGV[11])
  for field, value in pairs({presenter = ARGV[12], spotlight = ARGV[13], properties = ARGV[14]}) do
    if value ~= '' then call('HSET', ROOM, field, value) end
  end
  call('ZADD', ROOMS, ARGV[15], string.match(NAME, '/(.*)'))
elseif now[1] == epoch and since > tonumber(now[2]) then
  lost = 1
  rebirth(new_epoch, since)
end

local results, ours = {}, {}
for i = 20, #ARGV, 8 do
  local peer, generation, order, grace, profile, state = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5]
  ours[peer] = true
  if generation ~= '' then
    local seat, status = call('HGET', PEERS, peer), 'held'
    local room = call('HMGET', ROOM, 'capacity', 'count', 'order')
    if seat then
      status = take(peer, seat, generation, ARGV[i + 7]) or status
    elseif tonumber(room[2]) >= tonumber(room[1]) then
      status = 'full'
    else
      status = 'added'
      call('HSET', PEERS, peer, NODE .. ' ' .. order .. ' c ' .. generation .. ' ' .. grace .. ' ' .. profile, 's:' .. peer, state)
      call('HSET', ROOM, 'order', math.max(tonumber(order), tonumber(room[3])))
      call('HINCRBY', ROOM, 'count', 1)
      call('HINCRBY', NODES, NODE, 1)
      call('SADD', HELD, NAME .. ' ' .. peer)
      emit('joined-peer', '*', peer, ARGV[i + 6])
    end
    results[#results + 1] = peer
    results[#results + 1] = status
  end
end
local all = call('HGETALL', PEERS)
for i = 1, #all, 2 do
  if not string.find(all[i], ':', 1, true) and node_of(all[i + 1]) == NODE and not ours[all[i]] then
    unseat(all[i], all[i + 1], '-', ARGV[18] .. all[i] .. ARGV[19])
  end
end
local reply = look(lost, true)
reply[5] = results
return reply
