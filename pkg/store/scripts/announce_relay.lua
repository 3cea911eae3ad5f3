-- announce_relay: renews a relay's lease, and with it what the relay tells about itself. Relays whose lease is over go, 100 at a time.
-- Safe to send again.
-- KEYS:  1 relays, 2 relayinfo
-- ARGV:  1 relay, 2 lease in ms, 3 what the relay tells
-- Returns {'ok'}
-- Caller: Store.AnnounceRelay
local RELAYS, INFO = KEYS[1], KEYS[2]
local relay, lease, info = ARGV[1], tonumber(ARGV[2]), ARGV[3]

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- It removes before it adds: Redis at maxmemory refuses a script's first write if that one needs memory, later ones not.
redis.call('ZREM', RELAYS, relay)
local gone = redis.call('ZRANGEBYSCORE', RELAYS, '-inf', string.format('%d', now), 'LIMIT', '0', '100')
if #gone > 0 then
  redis.call('ZREM', RELAYS, unpack(gone))
  redis.call('HDEL', INFO, unpack(gone))
end
redis.call('ZADD', RELAYS, string.format('%d', now + lease), relay)
redis.call('HSET', INFO, relay, info)
return {'ok'}
