-- control: mutes, unmutes or kicks one peer, or all but the caller, and tells everybody.
-- Takes effect once, if the request has a number; otherwise a mute is told twice, and a second kick of one peer is
-- answered peer_gone.
-- KEYS:  see the prelude. A kicked peer's held set belongs to its own node, which no caller can know: unseat makes its
--        key, which carries the same hash tag, so it lies in the same slot.
-- ARGV:  7 mute, unmute or kick, 8 reserved state key, 9 target or *, 10 the control event, 11 and 12 the left-peer
--        event, cut where the peer's id belongs
-- Returns {'ok', seq, peers affected}, {'repeated', seq, peers affected or 0}; {'not_member'}, {'fenced'},
--         {'peer_gone'}, {'outcome_unknown'}
-- Caller: Store.Control
local action, key, target, body, head, tail = ARGV[7], ARGV[8], ARGV[9], ARGV[10], ARGV[11], ARGV[12]

local own = call('HMGET', PEERS, PEER, 'r:' .. PEER)
local refused = fence(own[1])
if refused then return {refused} end
local before = repeated(own[2])
if before then return before end
local targets, states = {}, {}
if target ~= '*' then
  local found = call('HMGET', PEERS, target, 's:' .. target)
  if not found[1] then return {'peer_gone'} end
  targets[1], states[target] = {target, found[1]}, found[2]
else
  local all = call('HGETALL', PEERS)
  for i = 1, #all, 2 do
    local of_state = string.match(all[i], '^s:(.*)')
    if of_state then
      states[of_state] = all[i + 1]
    elseif all[i] ~= PEER and not string.find(all[i], ':', 1, true) then
      targets[#targets + 1] = {all[i], all[i + 1]}
    end
  end
  local function order(seat) return tonumber(string.match(seat, '^%S+ (%d+)')) end
  table.sort(targets, function(a, b) return order(a[2]) < order(b[2]) end)
end
if #targets == 0 then return {'ok', tonumber(call('HGET', ROOM, 'seq')), 0} end

local seq
for _, t in ipairs(targets) do
  local peer, seat = t[1], t[2]
  if action == 'kick' then
    seq = unseat(peer, seat, '-', head .. peer .. tail)
  else
    local text = states[peer]
    local map = text and text ~= '' and cjson.decode(text) or {}
    map[key] = action == 'mute' and 'true' or nil
    call('HSET', PEERS, 's:' .. peer, next(map) and cjson.encode(map) or '')
  end
end
seq = seq or emit('control', '*', '-', body)
if action ~= 'kick' or target ~= PEER then took_effect(seq, #targets) end -- who kicks itself has no seat to note it at
return {'ok', seq, #targets}
