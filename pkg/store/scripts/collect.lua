-- collect: has one gateway at a time take what is in a partition's outbox, and tells which queues it has filled. What an earlier one
-- took and did not forward comes again, in its place.
-- Safe to send again.
-- KEYS:  1 outbox, 2 claim, 3 queues
-- ARGV:  1 to 6 as in the prelude, 7 the gateway, 8 how long it has the partition in ms, 9 most entries
-- Returns {'ok', 1, {id, entry, ...}, {queue, ...}}; {'ok', 0} when another gateway has the partition
-- Caller: Store.CollectOutbox
local outbox, claim, owner, most = KEYS[1], KEYS[2], ARGV[7], tonumber(ARGV[9])
if (call('GET', claim) or owner) ~= owner then return {'ok', 0} end
call('SET', claim, owner, 'PX', ARGV[8])

local entries = {}
local function take(list)
  for _, item in ipairs(list) do
    if item and item[2] then -- else it was trimmed
      entries[#entries + 1] = item[1]
      entries[#entries + 1] = item[2][2]
    end
  end
end
if call('EXISTS', outbox) == 1 then
  redis.pcall('XGROUP', 'CREATE', outbox, 'hooks', '0') -- fails where it is there already
  local earlier = call('XAUTOCLAIM', outbox, 'hooks', owner, '0', '0-0', 'COUNT', most)
  take(earlier[2])
  if earlier[1] == '0-0' and #entries < 2 * most then -- none of them is left
    local new = call('XREADGROUP', 'GROUP', 'hooks', owner, 'COUNT', most - #entries / 2, 'STREAMS', outbox, '>')
    if new and new[1] then take(new[1][2]) end
  end
end
return {'ok', 1, entries, call('SMEMBERS', KEYS[3])}
