-- canary: publishes to a node's own inbox what must come back, and tells since when the node's canaries have left a trace.
-- Safe to send again: what comes back twice is ignored the second time.
-- It writes, so that a server that was demoted refuses it, and removes before it adds, so that one at maxmemory does not.
-- KEYS:  1 canary key of the node
-- ARGV:  1 inbox channel, 2 nonce, 3 life of the key in ms
-- Returns {'ok', nonce of the canary that made the key}
-- Caller: subscription.sendCanary
local born = call('GET', KEYS[1]) or ARGV[2]
call('DEL', KEYS[1])
call('SET', KEYS[1], born, 'PX', ARGV[3])
call('@PUBLISH@', ARGV[1], 'canary ' .. ARGV[2] .. ' ' .. born)
return {'ok', born}
