-- held: lists the seats that a node holds in one partition, if they are not as many as it believes.
-- Safe to send again.
-- KEYS:  1 held set of the node
-- ARGV:  1 to 6 as in the prelude, 7 how many it believes, -1 to have them listed all the same
-- Returns {'ok', 1, {"<app>/<room> <peer>", ...}}, or {'ok', 0} when they are as many
-- Caller: Store.Held
if tonumber(ARGV[7]) == call('SCARD', KEYS[1]) then return {'ok', 0} end
return {'ok', 1, call('SMEMBERS', KEYS[1])}
