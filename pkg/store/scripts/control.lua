-- control: mutes, unmutes or kicks one peer, or all but the caller, and tells everybody.
-- Takes effect once, if the request has a number; otherwise a mute is told twice, and a second kick of one peer is
-- answered peer_gone.
-- KEYS:  see the prelude. A kicked peer's held set belongs to its own node, which no caller can know: unseat makes its
--        key, which carries the same hash tag, so it lies in the same slot.
-- ARGV:  7 mute, unmute or kick, 8 reserved state key, 9 target or *, 10 the control event, 11 and 12 the left-peer
--        event, cut where the peer's id belongs
-- Returns {'ok', seq, peers affected, epoch}, {'repeated', seq, peers affected or 0}; {'not_member'}, {'fenced'}, {'no_room'},
--         {'peer_gone'}, {'outcome_unknown'}
-- Caller: Store.Control
--@ open fence once tell append commit took
local action, key, target, body, head, tail = ARGV[7], ARGV[8], ARGV[9], ARGV[10], ARGV[11], ARGV[12]

local got = open('p:' .. PEER, 'r:' .. PEER, 'p:' .. target, 's:' .. target)
local refused = fence(got[7])
if refused then return {refused} end
local before = repeated(got[8], REQUEST)
if before then return before end
local targets, states = {}, {}
if target ~= '*' then
  if not got[9] then return {'peer_gone'} end
  targets[1], states[target] = {target, got[9]}, got[10]
else
  local all = call('HGETALL', ROOM)
  for i = 1, #all, 2 do
    local kind, peer = all[i]:match('^([ps]):(.*)')
    if kind == 's' then
      states[peer] = all[i + 1]
    elseif kind and peer ~= PEER then
      targets[#targets + 1] = {peer, all[i + 1]}
    end
  end
  local function order(seat) return tonumber(seat:match('^%S+ (%d+)')) end
  table.sort(targets, function(a, b) return order(a[2]) < order(b[2]) end)
end
if #targets == 0 then return {'ok', R.seq, 0, R.epoch} end

if action == 'kick' then
  --@ shift let_go unseat
  for i = 1, R.rules and #targets or 0 do -- the presenter last, or each would be followed by the one who goes next
    if targets[i][1] == R.presenter then
      table.insert(targets, table.remove(targets, i))
      break
    end
  end
  for _, t in ipairs(targets) do unseat(t[1], t[2], '-', head .. t[1] .. tail) end
else
  for _, t in ipairs(targets) do
    local text, n = states[t[1]], #R.set
    local map = text and text ~= '' and cjson.decode(text) or {}
    map[key] = action == 'mute' and 'true' or nil
    R.set[n + 1], R.set[n + 2] = 's:' .. t[1], next(map) and cjson.encode(map) or ''
  end
  tell('control', '-', body)
end
if action ~= 'kick' or target ~= PEER then took_effect(#targets) end -- who kicks itself has no seat to note it at
commit()
return {'ok', R.seq, #targets, R.epoch}
