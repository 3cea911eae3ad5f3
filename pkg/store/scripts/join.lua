-- join: takes a seat, and makes the room when it is missing.
-- Safe to send again: the node that holds the seat gets the snapshot, and nothing changes or is told.
-- KEYS:  see the prelude; 7 tombstone of the calling node: once its seats were given up for it, it gets none any more
-- ARGV:  5 profile, 6 state, 7 capacity of a new room, 8 moderator (0/1), 9 epoch of a new room,
--        10 and 11 the joined-peer event, cut where the order belongs
-- Returns {'ok', 1 if the seat is new else 0, {room fields}, {peers}}; {'fenced'}, {'lapsed'}, {'room_locked'},
--         {'room_full'}
-- Caller: Store.Join
local profile, state, capacity, moderator, epoch = ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local head, tail = ARGV[10], ARGV[11]

local seat = call('HGET', PEERS, PEER)
if seat then
  if node_of(seat) ~= NODE then return {'fenced'} end
  return look(0, true)
end
if call('EXISTS', KEYS[7]) == 1 then return {'lapsed'} end

local room = call('HMGET', ROOM, 'capacity', 'count', 'locked')
if not room[1] then
  local now = call('TIME')
  local created = now[1] * 1000 + math.floor(now[2] / 1000)
  call('HSET', ROOM, 'epoch', epoch, 'seq', 0, 'capacity', capacity, 'count', 0, 'order', 0,
    'created', string.format('%d', created), 'version', 1, 'locked', 0)
  call('ZADD', ROOMS, string.format('%d', created), string.match(NAME, '/(.*)'))
elseif room[3] == '1' and moderator ~= '1' then
  return {'room_locked'}
elseif tonumber(room[2]) >= tonumber(room[1]) then
  return {'room_full'}
end

local order = call('HINCRBY', ROOM, 'order', 1)
call('HINCRBY', ROOM, 'count', 1)
call('HSET', PEERS, PEER, NODE .. ' ' .. order .. ' c 1 ' .. profile, 's:' .. PEER, state)
call('HINCRBY', NODES, NODE, 1)
call('SADD', HELD, NAME .. ' ' .. PEER)
emit('joined-peer', '*', PEER, head .. order .. tail)
return look(1, true)
