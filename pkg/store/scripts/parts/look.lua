-- Part of the scripts that answer with the room, after the prelude.

-- Reads the room, as pairs of field and value: all, or without its members. It is what commit has written.
local function look(is_new, members)
  if members then return {'ok', is_new, call('HGETALL', ROOM)} end
  local names = {'epoch', 'seq', 'capacity', 'count', 'version', 'locked', 'presenter', 'spotlight', 'properties', 'created'}
  local pairs_of, values = {}, call('HMGET', ROOM, unpack(names))
  for i, value in ipairs(values) do
    if value then
      pairs_of[#pairs_of + 1] = names[i]
      pairs_of[#pairs_of + 1] = value
    end
  end
  return {'ok', is_new, pairs_of}
end
