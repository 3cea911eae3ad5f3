-- condemn: takes nodes whose lease has ended off the roster for good, and lists all whose seats are still to be given up.
-- Safe to send again.
-- Nobody is condemned before Redis has heard beats for a whole lease without a pause: after an outage of Redis every
-- lease is old, and every node that lives gets the time to beat. The pulse is looked at here, in the same instant: a
-- call may have waited for Redis through the outage.
-- KEYS:  1 nodes, 2 nodeinfo, 3 condemned, 4 pulse
-- ARGV:  1 lease in ms, 2 most nodes, 3 tombstone prefix, 4 life of a tombstone in ms. A tombstone's key is made here, of
--        the same hash tag: which leases have ended no caller can know. 5 and on nodes that hold seats and were on no
--        roster for a lease: Redis has lost their lease, or they took a seat after it was over
-- Returns {'ok', ms since the end of the lease, node, ...}, pairs
-- Caller: Store.Condemn
local NODES, INFO, CONDEMNED, PULSE = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local lease, most, dead_prefix, dead_life = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4]

local function condemn(node, since)
  redis.call('ZREM', NODES, node) -- first, also where it removes nothing: see beat
  redis.call('HDEL', INFO, node)
  redis.call('ZADD', CONDEMNED, since, node)
  redis.call('SET', dead_prefix .. node, 1, 'PX', dead_life)
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local since = tonumber(redis.call('GET', PULSE) or now)
if now - since >= lease then
  local ended = redis.call('ZRANGEBYSCORE', NODES, '-inf', string.format('%d', now), 'WITHSCORES', 'LIMIT', 0, most)
  for i = 1, #ended, 2 do
    condemn(ended[i], ended[i + 1])
  end
  for i = 5, #ARGV do
    local node = ARGV[i]
    if not redis.call('ZSCORE', NODES, node) and not redis.call('ZSCORE', CONDEMNED, node) then
      condemn(node, string.format('%d', now))
    end
  end
end
local reply = {'ok'}
local condemned = redis.call('ZRANGE', CONDEMNED, 0, most - 1, 'WITHSCORES')
for i = 1, #condemned, 2 do
  reply[#reply + 1] = now - tonumber(condemned[i + 1])
  reply[#reply + 1] = condemned[i]
end
return reply
