-- state: merges into the peer's own state and tells the others.
-- Safe to send again: the state is the same, the event is told twice.
-- KEYS:  see the prelude
-- ARGV:  5 most keys, 6 most bytes, 7 the state event, 8... pairs of key and raw value
-- Returns {'ok', seq}; {'not_member'}, {'fenced'}, {'too_large'}, {'forbidden'}
-- Caller: Store.SetState
local max_keys, max_bytes, body = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]

local seat = call('HMGET', PEERS, PEER, 's:' .. PEER)
local refused = fence(seat[1])
if refused then return {refused} end
local text, status = merge(seat[2], 8, max_keys, max_bytes, {mutedAudio = true, mutedVideo = true})
if not text then return {status} end
call('HSET', PEERS, 's:' .. PEER, text)
return {'ok', emit('state', '*', PEER, body)}
