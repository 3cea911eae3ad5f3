-- beat: renews a node's lease, and with it what the node tells about itself.
-- Safe to send again.
-- The pulse is since when Redis has heard beats without a pause: it expires when none comes for half a lease. While
-- Redis itself is away, all leases end, and none of it is the nodes' fault.
-- KEYS:  1 nodes, 2 nodeinfo, 3 the node's tombstone, 4 pulse
-- ARGV:  1 node, 2 lease in ms, 3 what the node tells, 4 first beat of the node (0/1)
-- Returns {'ok', Redis' time in ms, and the µs of it}; {'lapsed'} when the node was given up; {'forgotten'} when it is not the first beat,
--         and nothing is known of the node: Redis has lost its data
-- Caller: Store.Beat
local NODES, INFO, DEAD, PULSE = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local node, lease, info, first = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4] == '1'

-- It removes before it adds: Redis at maxmemory refuses a script's first write if that one needs memory, later ones not.
local known = redis.call('ZREM', NODES, node) == 1
if redis.call('EXISTS', DEAD) == 1 then return {'lapsed'} end
if not known and not first then return {'forgotten'} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', NODES, string.format('%d', now + lease), node)
redis.call('HSET', INFO, node, info)
local since = tonumber(redis.call('GET', PULSE) or now)
if since > now then since = now end -- the clock was put back
redis.call('SET', PULSE, string.format('%d', since), 'PX', math.floor(lease / 2))
return {'ok', now, time[2] % 1000}
