-- report: puts what a client tells of its call into the outbox, where webhooks are to tell of the room. Changes nothing else.
-- Sent again, it tells the same by the same id.
-- KEYS:  see the prelude
-- ARGV:  7 id, 8 what it tells, as JSON
-- Returns {'ok', 0}; {'not_member'}, {'fenced'}
-- Caller: Store.Report
--@ open fence append commit
local refused = fence(open('p:' .. PEER)[7])
if refused then return {refused} end
if R.out then R.out[1] = {'call.outcome', ARGV[7], ARGV[8], R.seq} end
commit()
return {'ok', 0}
