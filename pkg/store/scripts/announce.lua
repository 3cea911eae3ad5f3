-- announce: tells all gateways something, by the bulletin.
-- Sent again it is told again.
-- KEYS:  1 bulletin
-- ARGV:  1 how many entries the bulletin keeps, 2 kind, 3 body
-- Returns {'ok'}
-- Caller: Store.Announce
--@ announce
announce(KEYS[1], ARGV[1], ARGV[2], ARGV[3])
return {'ok'}
