-- roster: lists the nodes, or the relays, whose lease runs, with what they tell about themselves.
-- Safe to send again.
-- KEYS:  1 nodes, 2 nodeinfo; or relays and relayinfo
-- Returns {'ok', node, info, node, info, ...}
-- Callers: Store.Roster, Store.Relays
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local alive = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. string.format('%d', now), '+inf')
local roster = {'ok'}
for _, node in ipairs(alive) do
  roster[#roster + 1] = node
  roster[#roster + 1] = redis.call('HGET', KEYS[2], node) or ''
end
return roster
