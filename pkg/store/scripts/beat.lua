-- beat: renews a node's lease, and with it what the node tells about itself.
-- Safe to send again.
-- KEYS:  1 nodes, 2 nodeinfo
-- ARGV:  1 node, 2 lease in ms, 3 what the node tells, 4 first beat of the node (0/1)
-- Returns {'ok'}; {'lapsed'} when it is not the first beat and the node is no longer known: it was thought dead
-- Caller: Store.Beat
local NODES, INFO = KEYS[1], KEYS[2]
local node, lease, info, first = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4] == '1'

if not first and not redis.call('ZSCORE', NODES, node) then return {'lapsed'} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', NODES, string.format('%d', now + lease), node)
redis.call('HSET', INFO, node, info)
return {'ok'}
