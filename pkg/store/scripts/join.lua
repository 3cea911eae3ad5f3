-- join: takes a seat, and makes the room when it is missing. A seat that the session has already is taken over from its
-- earlier connection.
-- Safe to send again: the connection that holds the seat gets the snapshot, and nothing changes or is told. A number is
-- noted for a new seat, so that requests of an earlier one do not take effect again.
-- KEYS:  see the prelude; 7 tombstone of the calling node: once its seats were given up for it, it gets none any more;
--        8 gate of the partition: new seats are taken only once those that were lost with Redis' data had time to be
--        put back
-- ARGV:  7 profile, 8 state, 9 capacity of a new room, 10 what the peer is and wants: m is a moderator, k becomes one by the
--        room's first seat, c may make it, w waits for a seat, l was let in where it waited; 11 epoch of a new room,
--        12 and 13 the joined-peer event, cut where the order belongs, 14 grace in ms, 15 the back-peer event,
--        16 how long the gate stays shut in ms, 17 a new room's life where webhooks are to tell of it, else '', 18 the rules of
--        a new room, see lobby, 19 when the peer came that waits already, 0 for one that asks for the first time, 20 epoch and 21 number
--        of the last event at which it had its place; only where seats are to be replaced 22 how the profile of the same user begins, or ''
--        to let a user have several seats, 23 and 24 the left-peer event of a seat that is replaced, cut where the peer's id belongs,
--        25 a peer whose seat is replaced, or ''
-- Returns {'ok', 1 if the seat is new else 0, {the room}}; {'waiting', 0, {the room without members}, place in the queue, its length,
--         f or m for a full or a moderated room, when it came}; {'superseded'}, {'lapsed'}, {'recovering'}, {'room_locked'}, {'room_full'},
--         {'no_room'}; {'not_member'}: the place was taken away, and not lost with Redis' data
-- Caller: Store.Join
--@ open tell append commit shift hold sit took
local profile, state, mode, grace, new_epoch = ARGV[7], ARGV[8], ARGV[10], ARGV[14], ARGV[11]

local node = call('MGET', KEYS[7], KEYS[8])
if node[1] then return {'lapsed'} end
local got = open('p:' .. PEER, 'order', 'capacity', 'locked')
if got[7] then
  --@ let_go take
  local refused = take(PEER, got[7], GENERATION, ARGV[15])
  if refused then return {refused} end
  commit()
  return {'ok', 0, call('HGETALL', ROOM)}
end
local place, shut, arrived = R.rules and call('HGET', ROOM, 'w:' .. PEER), false, ARGV[19]
if node[2] ~= '0' then
  --@ time gate
  shut = not gate_open(KEYS[8], node[2], ARGV[16])
end
if place then
  --@ let_go look lobby
  local refused = take_place(PEER, place)
  if refused then return {refused} end
  commit()
  return shut and {'recovering'} or place_of(PEER, arrived_of(place))
end
if shut and (arrived == '0' or not R.epoch) then return {'recovering'} end -- a place may be put back where the room is
if arrived ~= '0' and R.epoch == ARGV[20] and R.seq >= tonumber(ARGV[21]) then return {'not_member'} end
if R.rules and R.count < tonumber(got[9]) then
  --@ lobby
  call_next() -- as in take_place
  if R.order then
    commit()
    got = open('p:' .. PEER, 'order', 'capacity', 'locked')
  end
end

local replaced, found = {}, R.epoch
if #ARGV > 21 and found and not shut then
  local same_user, before, all = ARGV[22], ARGV[25], call('HGETALL', ROOM)
  for i = 1, #all, 2 do
    local peer = all[i]:match('^p:(.*)')
    local profile_of = peer and all[i + 1]:match('^%S+ %S+ %S+ %S+ %S+ (.*)$')
    if peer and (peer == before or same_user ~= '' and profile_of:sub(1, #same_user) == same_user) then
      replaced[#replaced + 1] = {peer, all[i + 1]}
    end
  end
end
local moderator, wants = mode:find('m') or mode:find('k') and (R.order or got[8] or '0') == '0', mode:find('w')
local most_wait = ARGV[18]:match('%d+$')
local rules = R.rules or found and '0 0 0 ' .. most_wait or ARGV[18] -- those of a room are of its beginning
local why = not moderator and not replaced[1] and rules:match('^%S+ %S+ (%S)') == '1' and not mode:find('l') and 'm'
if not found then
  if not mode:find('c') then return {'no_room'} end
  if why and not wants then return {'room_locked'} end
  if why and most_wait == '0' then return {'room_full'} end -- before anything is made
  --@ time make
  make(new_epoch, 0, ARGV[9], ('%d'):format(now_ms()), '1', '0', ARGV[17], ARGV[18])
elseif not replaced[1] then -- neither keeps a user from the own seat
  local locked = got[10] == '1' and not moderator
  if locked and arrived == '0' then return {'room_locked'} end
  if why and not wants then return {'room_locked'} end
  if locked or shut or R.count >= tonumber(got[9]) then
    if not wants then return {'room_full'} end
    why = why or 'f'
  end
end
if why then
  --@ wait
end

local order = ('%d'):format((R.order or got[8] or 0) + 1)
R.count = R.count + 1 -- first: what is replaced must not take the room along
if replaced[1] then
  --@ let_go unseat
  call('HSET', ROOM, 'order', order) -- at maxmemory it is refused before anything is removed
  for _, r in ipairs(replaced) do unseat(r[1], r[2], '-', ARGV[23] .. r[1] .. ARGV[24]) end
end
sit(PEER, order, R.order or order, GENERATION, grace, profile, state, ARGV[12] .. order .. ARGV[13])
if R.out and not replaced[1] then -- its last seat?
  local most = got[9] or ARGV[9]
  if R.count >= tonumber(most) then
    R.out[#R.out + 1] = {'room.full', R.epoch .. '-' .. R.seq, '{"capacity":' .. most .. '}', R.seq}
  end
end
took_effect()
commit()
if found or R.rules then return {'ok', 1, call('HGETALL', ROOM)} end
return {'ok', 1, {'seq', '1', 'count', '1', unpack(R.set)}} -- of a new room that is all
