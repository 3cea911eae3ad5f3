-- keep: relays a message to everybody as send does, and keeps it for those who join later. The oldest ones go that are over the bounds.
-- Takes effect once, if the request has a number.
-- KEYS:  see the prelude; 3 the list of what is kept of the topic: "<seq> <time in ms> <peer or -> <length of the profile> <profile><data>"
-- ARGV:  7 topic, 8 excepted peer or -, 9 the message event up to the time, which is a number, 10 its data, 11 profile of the peer,
--        12 most messages, 13 most bytes
-- Returns {'ok', seq, messages dropped, epoch}, {'repeated', seq, 0}; {'not_member'}, {'fenced'}, {'no_room'}, {'outcome_unknown'}
-- Caller: Store.Keep
--@ open fence once tell append commit took time
local topic, data, profile, most, most_bytes = ARGV[7], ARGV[10], ARGV[11], tonumber(ARGV[12]), tonumber(ARGV[13])
local list = KEYS[3]

local got = open('p:' .. PEER, 'r:' .. PEER, 'k:' .. topic)
local refused = fence(got[7])
if refused then return {refused} end
local before = repeated(got[8], REQUEST)
if before then return before end
local now = ('%d'):format(now_ms())
local entry = ('%d %s %s %d %s%s'):format(R.seq + 1, now, PEER == '' and '-' or PEER, #profile, profile, data)
local bytes, dropped = (got[9] or '0 0'):match('^(%d+) (%d+)')
bytes = bytes + #entry
local length, gone = call('RPUSH', list, entry), 0 -- first: at maxmemory it is refused before anything is told
while length - gone > 1 and (length - gone > most or bytes > most_bytes) do
  bytes = bytes - #call('LPOP', list)
  gone = gone + 1
end
R.set = {'k:' .. topic, ('%d %d'):format(bytes, dropped + gone)}
tell('message', ARGV[8], ARGV[9] .. now .. ',"data":' .. data .. '}')
took_effect()
commit()
return {'ok', R.seq, gone, R.epoch}
