-- join: takes a seat, and makes the room when it is missing. A seat that the session has already is taken over from its
-- earlier connection.
-- Safe to send again: the connection that holds the seat gets the snapshot, and nothing changes or is told.
-- KEYS:  see the prelude; 8 tombstone of the calling node: once its seats were given up for it, it gets none any more;
--        9 gate of the partition: new seats are taken only once those that were lost with Redis' data had time to be
--        put back
-- ARGV:  7 profile, 8 state, 9 capacity of a new room, 10 moderator (0/1), 11 epoch of a new room,
--        12 and 13 the joined-peer event, cut where the order belongs, 14 grace in ms, 15 the back-peer event,
--        16 how the profile of the same user begins, or '' to let a user have several seats, 17 and 18 the left-peer
--        event of a seat that is replaced, cut where the peer's id belongs, 19 how long the gate stays shut in ms
-- Returns {'ok', 1 if the seat is new else 0, {room fields}, {peers}}; {'fenced'}, {'superseded'}, {'lapsed'},
--         {'recovering'}, {'room_locked'}, {'room_full'}
-- Caller: Store.Join
local profile, state, capacity, moderator, epoch = ARGV[7], ARGV[8], ARGV[9], ARGV[10], ARGV[11]
local head, tail, grace, back, same_user = ARGV[12], ARGV[13], ARGV[14], ARGV[15], ARGV[16]

if call('EXISTS', KEYS[8]) == 1 then return {'lapsed'} end
local seat = call('HGET', PEERS, PEER)
if seat then
  local refused = take(PEER, seat, GENERATION, back)
  if refused then return {refused} end
  return look(0, true)
end
local gate = call('GET', KEYS[9])
if gate ~= '0' then
  local now = now_ms()
  if not gate then
    gate = now + ARGV[19]
    call('SET', KEYS[9], string.format('%d', gate))
  end
  if tonumber(gate) > now then return {'recovering'} end
end

if same_user ~= '' then
  local all = call('HGETALL', PEERS)
  for i = 1, #all, 2 do
    local other = string.find(all[i], ':', 1, true) and '' or string.match(all[i + 1], '^%S+ %S+ %S+ %S+ %S+ (.*)$')
    if string.sub(other, 1, #same_user) == same_user then
      unseat(all[i], all[i + 1], '-', ARGV[17] .. all[i] .. ARGV[18])
    end
  end
end
local room = call('HMGET', ROOM, 'capacity', 'count', 'locked')
if not room[1] then
  local created = string.format('%d', now_ms())
  call('HSET', ROOM, 'epoch', epoch, 'seq', 0, 'capacity', capacity, 'count', 0, 'order', 0,
    'created', created, 'version', 1, 'locked', 0)
  call('ZADD', ROOMS, created, string.match(NAME, '/(.*)'))
elseif room[3] == '1' and moderator ~= '1' then
  return {'room_locked'}
elseif tonumber(room[2]) >= tonumber(room[1]) then
  return {'room_full'}
end

local order = call('HINCRBY', ROOM, 'order', 1)
call('HINCRBY', ROOM, 'count', 1)
call('HSET', PEERS, PEER, NODE .. ' ' .. order .. ' c ' .. GENERATION .. ' ' .. grace .. ' ' .. profile, 's:' .. PEER, state)
call('HINCRBY', NODES, NODE, 1)
call('SADD', HELD, NAME .. ' ' .. PEER)
emit('joined-peer', '*', PEER, head .. order .. tail)
return look(1, true)
