-- relays: lists the relays whose lease runs, with what they tell about themselves.
-- Safe to send again.
-- KEYS:  1 relays, 2 relayinfo
-- Returns {'ok', relay, info, relay, info, ...}
-- Caller: Store.Relays
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local alive = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. string.format('%d', now), '+inf')
local reply = {'ok'}
for _, relay in ipairs(alive) do
  reply[#reply + 1] = relay
  reply[#reply + 1] = redis.call('HGET', KEYS[2], relay) or ''
end
return reply
