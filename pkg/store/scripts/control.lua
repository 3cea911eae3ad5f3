-- control: mutes, unmutes or kicks one peer, or all but the caller, and tells everybody.
-- A mute is safe to send again (the event is told twice); a second kick of one peer is answered peer_gone.
-- KEYS:  see the prelude. A kicked peer's held set belongs to its own node, which no caller can know: its key
--        is made from a prefix. It carries the same hash tag, so it lies in the same slot.
-- ARGV:  5 mute, unmute or kick, 6 reserved state key, 7 target or *, 8 the control event, 9 and 10 the left-peer
--        event, cut where the peer's id belongs, 11 held key prefix
-- Returns {'ok', seq, peers affected}; {'not_member'}, {'fenced'}, {'peer_gone'}
-- Caller: Store.Control
local action, key, target, body = ARGV[5], ARGV[6], ARGV[7], ARGV[8]
local head, tail, held_prefix = ARGV[9], ARGV[10], ARGV[11]

local refused = fence(call('HGET', PEERS, PEER))
if refused then return {refused} end
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
  local peer, node = t[1], node_of(t[2])
  if action == 'kick' then
    seq = unseat(peer, node, held_prefix .. node, '-', head .. peer .. tail)
  else
    local text = states[peer]
    local map = text and text ~= '' and cjson.decode(text) or {}
    map[key] = action == 'mute' and 'true' or nil
    call('HSET', PEERS, 's:' .. peer, next(map) and cjson.encode(map) or '')
  end
end
return {'ok', seq or emit('control', '*', '-', body), #targets}
