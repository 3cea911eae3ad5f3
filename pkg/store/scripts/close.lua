-- close: makes an end of a room: every peer loses its seat, and is told.
-- Safe to send again: the second one is answered no_room, or not_member.
-- KEYS:  see the prelude
-- ARGV:  7 and 8 the left-peer event, cut where the peer's id belongs, 9 what is said about it as a JSON member with a comma in front,
--        or ''
-- Returns {'ok', seq, seats given up, epoch}; {'no_room'}, {'not_member'}, {'fenced'}
-- Caller: Store.CloseRoom
--@ open fence tell append commit shift let_go unseat evict
local refused = fence(open('p:' .. PEER)[7])
if refused then return {refused} end
local closed = evict('closed', ARGV[7], ARGV[8], ARGV[9])
commit()
return {'ok', R.seq, closed, R.epoch}
