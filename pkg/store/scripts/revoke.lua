-- revoke: notes that a user or a session of an app is not let in any more on what it was given before now, and announces it.
-- Sent again it is noted again, with a later time.
-- KEYS:  1 revocations, 2 bulletin
-- ARGV:  1 how many entries the bulletin keeps, 2 kind of the announcement, 3 a JSON object, without its end, that says who,
--        4 how long it counts in ms, 5 most revocations that there may be
-- Returns {'ok'}; {'limit'} when there are too many
-- Caller: Store.Revoke
--@ announce
local REVOKED, BULLETIN = KEYS[1], KEYS[2]

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', REVOKED, '-inf', string.format('%d', now)) -- first, also where it removes nothing: see beat
if redis.call('ZCARD', REVOKED) >= tonumber(ARGV[5]) then return {'limit'} end
local ends = string.format('%d', now + ARGV[4])
local body = ARGV[3] .. string.format(',"at":%d,"until":%s}', now, ends)
redis.call('ZADD', REVOKED, ends, body)
announce(BULLETIN, ARGV[1], ARGV[2], body)
return {'ok'}
