-- Part of resume, restore and rebirth, after the prelude.

-- Gives the room another epoch: events are known to have been lost, as Redis has gone back in time. The log is of the
-- old epoch and goes. Every node with a seat is told by the first event of the new epoch; no number comes again.
local function rebirth(new_epoch, least)
  call('DEL', LOG) -- it removes before it adds, see unseat
  entry, logged = {}, nil
  epoch, seq = new_epoch, math.max(least, seq)
  fields.epoch = epoch
  tell('epoch', '-', '{"type":"epoch"}')
end
