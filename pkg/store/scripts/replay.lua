-- replay: gives a node what happened in a room after a number that it has seen. Changes nothing.
-- KEYS:  see the prelude; the calling peer is ''
-- ARGV:  7 epoch, 8 number, 9 the number of an event that the log had, 0 for none
-- Returns {'ok', 0, {room fields}, {}, 1, {records}, the node's seats, {the record at the number of 9, or none}, 1 if
--         the log reaches back to that number else 0}; 0 and no records when it is not known any more what happened. A
--         missing room has no fields.
-- Caller: Store.Replay
local records = missed(ARGV[7], tonumber(ARGV[8]))
local first = call('XRANGE', LOG, '-', '+', 'COUNT', 1)[1]
local reaches = first and ARGV[9] ~= '0' and tonumber(string.match(first[1], '^%d+')) <= tonumber(ARGV[9])
local mark = reaches and call('XRANGE', LOG, ARGV[9] .. '-0', ARGV[9] .. '-0')[1]
local reply = look(0, false)
reply[5], reply[6] = records and 1 or 0, records or {}
reply[7], reply[8] = tonumber(call('HGET', NODES, NODE) or 0), mark and {mark[2][2]} or {}
reply[9] = reaches and 1 or 0
return reply
