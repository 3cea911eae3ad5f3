-- usage: takes what a node uses of the apps' quotas, and gives what all the others do.
-- Safe to send again.
-- What is older than the caller allows, or of a node without a lease, is not counted, and removed.
-- KEYS:  1 usage, 2 nodes
-- ARGV:  1 node, 2 what it uses, 3 the greatest age in ms
-- Returns {'ok', Redis' time in ms, node, usage, node, usage, ...}, without the caller
-- Caller: Store.ExchangeUsage
local USAGE, NODES = KEYS[1], KEYS[2]
local node, usage, oldest = ARGV[1], ARGV[2], tonumber(ARGV[3])

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local reply, gone = {'ok', now}, {node}
local all = redis.call('HGETALL', USAGE)
for i = 1, #all, 2 do
  local other = all[i]
  if other ~= node then
    local at, text = all[i + 1]:match('^(%d+) (.*)$')
    local lease = tonumber(redis.call('ZSCORE', NODES, other) or 0)
    if not at or now - at > oldest or lease <= now then
      gone[#gone + 1] = other
    else
      reply[#reply + 1] = other
      reply[#reply + 1] = text
    end
  end
end
-- It removes before it adds: Redis at maxmemory refuses a script's first write if that one needs memory, later ones not.
redis.call('HDEL', USAGE, unpack(gone))
redis.call('HSET', USAGE, node, string.format('%d ', now) .. usage)
return reply
