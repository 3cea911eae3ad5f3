-- restore: brings a room in line with what the calling node knows of its own seats in it, after Redis has lost data:
-- seats that are missing are put back, the room itself, too, and those that the node does not know are given up.
-- Safe to send again.
-- KEYS:  see the prelude; 7 tombstone of the calling node, 8 gate of the partition; the calling peer is ''
-- ARGV:  7 epoch, 8 number of the last event that the node has seen, 9 an epoch for a room that was lost, 10 to 16
--        capacity, locked, presenter, spotlight, properties, created (ms), version of a room that has to be made again,
--        17 how long the gate stays shut in ms, 18 and 19 the left-peer event, cut where the peer's id belongs,
--        20 whether Redis is known to have lost data (0/1), 21 the room's life, '' if webhooks tell nothing of it, 22 its rules
--        without who waits, see lobby; then for each
--        seat peer, generation, order, grace, profile, state, joined-peer event, back-peer event, j:<peer>. A generation of ''
--        is a seat that is being asked for: it is let alone.
-- Returns {'ok', 1 if data was lost else 0, {the room}, {peer, status, ...}}; {'lapsed'}. A status is held,
--         added, full (every seat, or its place in the order, is taken), gone (it is missing in a room that is as it was:
--         somebody took it away), or superseded (a later connection has it). A missing room has no fields.
-- Caller: Store.Restore
--@ open tell append commit shift hold let_go take unseat time gate make sit rebirth survey
local of_epoch, since, new_epoch = ARGV[7], tonumber(ARGV[8]), ARGV[9]

local node = call('MGET', KEYS[7], KEYS[8])
if node[1] then return {'lapsed'} end
if node[2] ~= '0' then gate_open(KEYS[8], node[2], ARGV[17]) end
local got, lost = open('order', 'capacity'), 0
local found, order_of_last, capacity = R.epoch, tonumber(got[7] or 0), tonumber(got[8] or ARGV[10])
local to_put, ghosts, orders = survey(23)
if found == of_epoch and since > R.seq then
  lost = 1
  rebirth(new_epoch, since)
elseif not found then
  lost = 1
  if to_put == 1 then
    make(new_epoch, since, ARGV[10], ARGV[15], ARGV[16], ARGV[11], ARGV[21], ARGV[22])
    for field, value in pairs({presenter = ARGV[12], spotlight = ARGV[13], properties = ARGV[14]}) do
      local n = #R.set
      if value ~= '' then R.set[n + 1], R.set[n + 2] = field, value end
    end
  end
end
for _, g in ipairs(ghosts) do unseat(g[1], g[2], '-', ARGV[18] .. g[1] .. ARGV[19], to_put == 1) end

local results, same, added = {}, lost == 0 and found == of_epoch, false -- same: the room is as it was
for i = 23, #ARGV, 9 do
  local peer, generation, order, grace, profile, state, joined, back, entered = unpack(ARGV, i, i + 8)
  if generation ~= '' then
    local seat, status = call('HGET', ROOM, 'p:' .. peer), 'held'
    if seat then
      status = take(peer, seat, generation, back) or status
      if status == 'held' then hold(peer) end -- Redis may have lost that alone
    elseif same and ARGV[20] == '0' then
      status = 'gone'
    elseif R.count >= capacity or orders[order] then
      status = 'full'
      if R.out then
        local seat, body = '- - - - - ' .. profile, ARGV[18] .. peer .. ARGV[19]
        --@ exited
      end
    else
      status, added = 'added', true
      order_of_last, R.count = math.max(order, order_of_last), R.count + 1
      sit(peer, order, order_of_last, generation, grace, profile, state, joined, entered)
    end
    results[#results + 1] = peer
    results[#results + 1] = status
  end
end
if same and added then -- so Redis has lost events: none of their numbers must come again
  lost = 1
  rebirth(new_epoch, since)
elseif same and R.count == 0 and not R.gone and not R.rules then -- there were ghosts alone
  --@ dissolve
end
if ghosts[1] and to_put == 1 and R.rules and not R.gone then -- a ghost's seat may be for somebody who waits
  --@ lobby
  R.order = order_of_last
  if not call_next(capacity, not found and ARGV[11] or nil) then
    --@ dissolve
  end
end
commit()
return {'ok', lost, call('HGETALL', ROOM), results}
