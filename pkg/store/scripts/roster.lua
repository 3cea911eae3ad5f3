-- roster: lists the nodes whose lease runs, with what they tell about themselves.
-- Safe to send again.
-- KEYS:  1 nodes, 2 nodeinfo
-- Returns {'ok', node, info, node, info, ...}
-- Caller: Store.Roster
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local alive = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. string.format('%d', now), '+inf')
local roster = {'ok'}
for _, node in ipairs(alive) do
  roster[#roster + 1] = node
  roster[#roster + 1] = redis.call('HGET', KEYS[2], node) or ''
end
return roster
