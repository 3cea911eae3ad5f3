-- replay: gives a node what happened in a room after a number that it has seen. Changes nothing.
-- KEYS:  see the prelude; the calling peer is ''
-- ARGV:  7 epoch, 8 number, 9 the number of an event that the log had, 0 for none
-- Returns {'ok', 0, {the room}, 1, {records}, the node's seats, {the record at the number of 9, or none}, 1 if the log
--         reaches back to that number else 0}; 0 and no records when it is not known any more what happened. A missing room
--         has no fields.
-- Caller: Store.Replay
--@ open log look missed
open()
local mark = tonumber(ARGV[9])
local records, first = missed(ARGV[7], tonumber(ARGV[8])), reach()
local reaches, at_mark = first and mark > 0 and first <= mark, {}
if reaches then
  local item = call('XRANGE', LOG, mark .. '-0', '+', 'COUNT', '1')[1]
  for _, record in ipairs(item and records_of(item) or {}) do
    if tonumber((about(record))) == mark then at_mark[1] = record end
  end
end
local own = 0
for node, seats in R.nodes:gmatch('(%S+) (%S+)') do
  if node == NODE then own = tonumber(seats) end
end
return {'ok', 0, look(), records and 1 or 0, records or {}, own, at_mark, reaches and 1 or 0}
