-- report: notes what a client tells of its call, and puts it into the outbox, where webhooks are to tell of the room.
-- Takes effect once, if the request has a number; otherwise it is told twice, by the same id.
-- KEYS:  see the prelude
-- ARGV:  7 id, 8 what it tells, as JSON
-- Returns {'ok', 0}, or {'ok', 1} where it came before; {'not_member'}, {'fenced'}
-- Caller: Store.Report
--@ open fence once append commit took
local got = open('p:' .. PEER, 'r:' .. PEER)
local refused = fence(got[7])
if refused then return {refused} end
if repeated(got[8], REQUEST) then return {'ok', 1} end
if R.out then R.out[1] = {'call.outcome', ARGV[7], ARGV[8], R.seq} end
took_effect()
commit()
return {'ok', 0}
