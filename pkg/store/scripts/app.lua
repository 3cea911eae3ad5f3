-- app: writes or deletes a managed app if it is at the version that the caller knows, and announces it.
-- Sent again it is a conflict: the version is another one by then.
-- Versions rise over all apps, in the field '.', which no app can have as its id: one that is made again is not what it was. The field
-- stays when the last app has gone, so that a hash that is missing tells that Redis has lost its data.
-- KEYS:  1 apps, 2 bulletin
-- ARGV:  1 how many entries the bulletin keeps, 2 kind of the announcement, 3 app, 4 version that it must have: 0 if it must not be
--        there, -1 for any, 5 put or delete, 6 its data
-- Returns {'ok', version}; {'conflict', version that it has, 0 if it is not there}; {'no_app'} of one that is to be deleted
-- Caller: Store.PutApp, Store.DeleteApp
--@ announce
local APPS, BULLETIN = KEYS[1], KEYS[2]
local app, expected, put = ARGV[3], tonumber(ARGV[4]), ARGV[5] == 'put'

local stored = redis.call('HGET', APPS, app)
local has = tonumber(stored and stored:match('^%d+') or 0)
if not put and not stored then return {'no_app'} end
if expected >= 0 and expected ~= has then return {'conflict', has} end
local version = redis.call('HINCRBY', APPS, '.', 1)
if put then
  redis.call('HSET', APPS, app, string.format('%d ', version) .. ARGV[6])
else
  redis.call('HDEL', APPS, app)
end
announce(BULLETIN, ARGV[1], ARGV[2], app)
return {'ok', version}
