-- Part of join and restore, after open.

-- Makes the room, without a seat yet. `life` is the epoch that it was first made with, '' where webhooks are not to tell of it, and `rules`
-- what it has of a policy, see lobby.
local function make(epoch, number, capacity, created, version, locked, life, rules)
  R.epoch, R.seq = epoch, tonumber(number)
  R.set = {'epoch', epoch, 'capacity', capacity, 'created', created, 'version', version, 'locked', locked}
  if rules ~= '' and not rules:find('^0 0 0 ') then
    R.rules = rules
    call('HSET', ROOM, 'rules', rules) -- not with the rest: who waits may come behind it
  end
  if life ~= '' then
    R.set[11], R.set[12], R.life = 'hooks', life, life
    R.out = {{'room.created', life, '{"capacity":' .. capacity .. '}', R.seq}}
  end
  call('ZADD', ROOMS, created, NAME:match('/(.*)'))
end
