-- replay: gives a node what happened in a room after a number that it has seen. Changes nothing.
-- KEYS:  see the prelude; the calling peer is ''
-- ARGV:  7 epoch, 8 number
-- Returns {'ok', 0, {room fields}, {}, 1, {records}}; 0 and no records when it is not known any more. A missing room has
--         no fields.
-- Caller: Store.Replay
local records = missed(ARGV[7], tonumber(ARGV[8]))
local reply = look(0, false)
reply[5], reply[6] = records and 1 or 0, records or {}
return reply
