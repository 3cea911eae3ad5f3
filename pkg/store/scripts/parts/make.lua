-- Part of join and restore, after open.

-- Makes the room, without a seat yet.
local function make(epoch, number, capacity, created, version, locked)
  R.epoch, R.seq = epoch, tonumber(number)
  R.set = {'epoch', epoch, 'capacity', capacity, 'created', created, 'version', version, 'locked', locked}
  call('ZADD', ROOMS, created, NAME:match('/(.*)'))
end
