-- rebirth: gives a room another epoch, because a node has found that Redis went back in time, unless somebody has done
-- so before.
-- Safe to send again.
-- KEYS:  see the prelude
-- ARGV:  7 the epoch that it has, 8 least number of the next event, 9 the epoch to give it
-- Returns {'ok'}
-- Caller: Store.Rebirth
--@ open tell append commit rebirth
open()
if R.epoch == ARGV[7] then rebirth(ARGV[9], tonumber(ARGV[8])) end
commit()
return {'ok'}
