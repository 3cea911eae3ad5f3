-- state: merges into the peer's own state and tells the others.
-- Takes effect once, if the request has a number; otherwise the state is the same, and the event is told twice.
-- KEYS:  see the prelude
-- ARGV:  7 most keys, 8 most bytes, 9 the state event, 10... pairs of key and raw value
-- Returns {'ok', seq}, {'repeated', seq}; {'not_member'}, {'fenced'}, {'too_large'}, {'forbidden'}, {'outcome_unknown'}
-- Caller: Store.SetState
--@ open fence once tell append commit took merge
local max_keys, max_bytes, body = tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9]

local got = open('p:' .. PEER, 's:' .. PEER, 'r:' .. PEER)
local refused = fence(got[7])
if refused then return {refused} end
local before = repeated(got[9], REQUEST)
if before then return before end
local text, status = merge(got[8], 10, max_keys, max_bytes, {mutedAudio = true, mutedVideo = true})
if not text then return {status} end
R.set = {'s:' .. PEER, text}
tell('state', PEER, body)
took_effect()
commit()
return {'ok', R.seq}
