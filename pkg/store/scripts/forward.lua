-- forward: moves an entry of a stream on: from the outbox to the queues of those who want it, from a queue to the dead letters, or
-- from these back to the queue.
-- Safe to send again: where the entry is gone already nothing is added.
-- KEYS:  1 stream that has the entry, 2 queues, 3 counter of what was trimmed, 4 claim; then the streams to add it to
-- ARGV:  1 to 6 as in the prelude, 7 the gateway that must have the partition, or '' for anybody, 8 id, 9 most entries of a stream,
--        10 the entry as it is to be added, 11 the queue that the stream is, or ''; then for each stream the queue that it is, or ''
-- Returns {'ok', 1 if the entry was there else 0}; {'fenced'}
-- Caller: Store.forward
local from, queues = KEYS[1], KEYS[2]
if ARGV[7] ~= '' and call('GET', KEYS[4]) ~= ARGV[7] then return {'fenced'} end

-- It removes before it adds: see unseat.
if ARGV[11] == '' then redis.pcall('XACK', from, 'hooks', ARGV[8]) end -- the dead letters have no such group
if call('XDEL', from, ARGV[8]) == 0 then return {'ok', 0} end
if call('XLEN', from) == 0 then
  call('DEL', from) -- of an outbox the names of all gateways that had it, too
  if ARGV[11] ~= '' then call('SREM', queues, ARGV[11]) end
end
for i = 5, #KEYS do
  call('XADD', KEYS[i], '*', 'e', ARGV[10])
  local over = call('XLEN', KEYS[i]) - ARGV[9]
  if over > 0 then
    call('XTRIM', KEYS[i], 'MAXLEN', ARGV[9])
    call('INCRBY', KEYS[3], over)
  end
  if ARGV[7 + i] ~= '' then call('SADD', queues, ARGV[7 + i]) end
end
return {'ok', 1}
