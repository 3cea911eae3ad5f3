-- find: gives those of an app's rooms in one partition in which a user has a seat. Changes nothing.
-- Safe to send again.
-- KEYS:  1 rooms of the app
-- ARGV:  1 what the key of a room begins with, 2 how the profile of the user begins, 3 first and 4 last place in the list of the
--        rooms
-- Returns {'ok', 1 if there may be further rooms else 0, room, ...}
-- Caller: Store.RoomsOf
local user, rooms = ARGV[2], redis.call('ZRANGE', KEYS[1], ARGV[3], ARGV[4])
local found = {'ok', #rooms > ARGV[4] - ARGV[3] and 1 or 0}
for _, room in ipairs(rooms) do
  local all = redis.call('HGETALL', ARGV[1] .. room)
  for i = 1, #all, 2 do
    local profile = all[i]:sub(1, 2) == 'p:' and all[i + 1]:match('^%S+ %S+ %S+ %S+ %S+ (.*)$')
    if profile and profile:sub(1, #user) == user then
      found[#found + 1] = room
      break
    end
  end
end
return found
