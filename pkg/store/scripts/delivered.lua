-- delivered: takes entries out of a queue.
-- Safe to send again.
-- KEYS:  1 queue, 2 queues, 3 claim
-- ARGV:  1 to 6 as in the prelude, 7 the gateway that must have the partition, 8 the queue as it is in queues, 9... ids
-- Returns {'ok', entries left}; {'fenced'}
-- Caller: Store.Delivered
if call('GET', KEYS[3]) ~= ARGV[7] then return {'fenced'} end
for i = 9, #ARGV do call('XDEL', KEYS[1], ARGV[i]) end
local left = call('XLEN', KEYS[1])
if left == 0 then
  call('DEL', KEYS[1])
  call('SREM', KEYS[2], ARGV[8])
end
return {'ok', left}
