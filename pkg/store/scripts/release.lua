-- release: lets another gateway have a partition's outbox.
-- Safe to send again.
-- KEYS:  1 claim
-- ARGV:  1 to 6 as in the prelude, 7 the gateway
-- Returns {'ok'}
-- Caller: Store.ReleaseOutbox
if call('GET', KEYS[1]) == ARGV[7] then call('DEL', KEYS[1]) end
return {'ok'}
