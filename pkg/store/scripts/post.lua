-- post: tells one peer or everybody what the operator says.
-- Not safe to send again: it would be said twice.
-- KEYS:  see the prelude. Where the receiver is missing the partition's gate is looked at, as in send.
-- ARGV:  7 event type, 8 receiver or *, 9 the event
-- Returns {'ok', seq, 0, epoch}; {'no_room'}, {'peer_gone'}, {'recovering'}
-- Caller: Store.Post
--@ open fence append commit
local kind, to, body = ARGV[7], ARGV[8], ARGV[9]

local seat = open('p:' .. to)[7] -- no peer is called *
local refused = fence()
if refused then return {refused} end
if to ~= '*' and not seat then
  local gate, time = call('GET', PREFIX .. 'gate'), call('TIME')
  return {(not gate or tonumber(gate) > time[1] * 1000 + time[2] / 1000) and 'recovering' or 'peer_gone'}
end
R.seq = R.seq + 1
R.entry = {'1 ' .. R.epoch .. ' ' .. ('%d'):format(R.seq) .. ' ' .. NAME .. ' ' .. kind .. ' ' .. to .. ' - - ' .. body}
local only = seat and seat:match('^%S+')
for node in R.nodes:gmatch('(%S+) %S+') do
  if to == '*' or node == only then R.posts[node] = R.entry end
end
commit()
return {'ok', R.seq, 0, R.epoch}
