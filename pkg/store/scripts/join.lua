-- join: takes a seat, and makes the room when it is missing. A seat that the session has already is taken over from its
-- earlier connection.
-- Safe to send again: the connection that holds the seat gets the snapshot, and nothing changes or is told. A number is
-- noted for a new seat, so that requests of an earlier one do not take effect again.
-- KEYS:  see the prelude; 7 tombstone of the calling node: once its seats were given up for it, it gets none any more;
--        8 gate of the partition: new seats are taken only once those that were lost with Redis' data had time to be
--        put back
-- ARGV:  7 profile, 8 state, 9 capacity of a new room, 10 moderator (0/1), 11 epoch of a new room,
--        12 and 13 the joined-peer event, cut where the order belongs, 14 grace in ms, 15 the back-peer event,
--        16 how the profile of the same user begins, or '' to let a user have several seats, 17 and 18 the left-peer
--        event of a seat that is replaced, cut where the peer's id belongs, 19 how long the gate stays shut in ms,
--        20 a peer whose seat is replaced, or ''
-- Returns {'ok', 1 if the seat is new else 0, {the room}}; {'superseded'}, {'lapsed'}, {'recovering'},
--         {'room_locked'}, {'room_full'}
-- Caller: Store.Join
local profile, state, capacity, moderator, new_epoch = ARGV[7], ARGV[8], ARGV[9], ARGV[10], ARGV[11]
local head, tail, grace, back, same_user, before = ARGV[12], ARGV[13], ARGV[14], ARGV[15], ARGV[16], ARGV[20]

local node = call('MGET', KEYS[7], KEYS[8])
if node[1] then return {'lapsed'} end
local got = enter('p:' .. PEER, 'order', 'capacity', 'locked')
if got[7] then
  local refused = take(PEER, got[7], GENERATION, back)
  if refused then return {refused} end
  commit()
  return look(0, true)
end
if not gate_open(KEYS[8], node[2], ARGV[19]) then return {'recovering'} end

local replaced, all = {}, {}
if same_user ~= '' then
  all = call('HGETALL', ROOM)
elseif before ~= '' then
  all = {'p:' .. before, call('HGET', ROOM, 'p:' .. before) or nil}
end
for i = 1, #all - 1, 2 do
  local peer = match(all[i], '^p:(.*)')
  local profile_of = peer and match(all[i + 1], '^%S+ %S+ %S+ %S+ %S+ (.*)$')
  if peer and (peer == before or same_user ~= '' and sub(profile_of, 1, #same_user) == same_user) then
    replaced[#replaced + 1] = {peer, all[i + 1]}
  end
end
if not epoch then
  make(new_epoch, 0, capacity, format('%d', now_ms()), '1', '0')
elseif #replaced == 0 then -- neither keeps a user from the own seat
  if got[10] == '1' and moderator ~= '1' then return {'room_locked'} end
  if count >= tonumber(got[9]) then return {'room_full'} end
end

local order = format('%d', (got[8] or 0) + 1)
fields.order = order
recount(1) -- first: what is replaced must not take the room along
if #replaced > 0 then call('HSET', ROOM, 'order', order) end -- at maxmemory it is refused before anything is removed
for _, r in ipairs(replaced) do unseat(r[1], r[2], '-', ARGV[17] .. r[1] .. ARGV[18]) end
sit(PEER, order, GENERATION, grace, profile, state, head .. order .. tail)
took_effect()
local written = commit()
return epoch == new_epoch and {'ok', 1, written} or look(1, true) -- of a new room that is all
