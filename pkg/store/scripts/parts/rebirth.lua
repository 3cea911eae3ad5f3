-- Part of resume, restore and rebirth, after tell.

-- Gives the room another epoch: events are known to have been lost, as Redis has gone back in time. The log is of the
-- old epoch and goes. Every node with a seat is told by the first event of the new epoch; no number comes again.
local function rebirth(epoch, least)
  call('DEL', LOG) -- it removes before it adds, see unseat
  R.entry, R.epoch, R.seq = {}, epoch, math.max(least, R.seq)
  local n = #R.set
  R.set[n + 1], R.set[n + 2] = 'epoch', epoch
  tell('epoch', '-', '{"type":"epoch"}')
end
