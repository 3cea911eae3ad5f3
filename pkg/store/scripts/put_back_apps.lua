-- put_back_apps: writes the managed apps again, if Redis has lost them.
-- Safe to send again.
-- KEYS:  1 apps
-- ARGV:  1 count of versions, 2 and on app, record, app, record ...
-- Returns {'ok', 1 if they were written, else 0}
-- Caller: Store.PutBackApps
if redis.call('EXISTS', KEYS[1]) == 1 then return {'ok', 0} end
redis.call('HSET', KEYS[1], '.', ARGV[1])
for i = 2, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
return {'ok', 1}
