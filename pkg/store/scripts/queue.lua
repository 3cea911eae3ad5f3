-- queue: reads a queue of events for webhooks from an entry on. Changes nothing.
-- KEYS:  1 queue
-- ARGV:  1 to 6 as in the prelude, 7 the id of the entry before, 8 most entries
-- Returns {'ok', entries in the queue, {id, entry, ...}}
-- Caller: Store.ReadQueue
local entries = {}
for _, item in ipairs(call('XRANGE', KEYS[1], '(' .. ARGV[7], '+', 'COUNT', ARGV[8])) do
  entries[#entries + 1] = item[1]
  entries[#entries + 1] = item[2][2]
end
return {'ok', call('XLEN', KEYS[1]), entries}
