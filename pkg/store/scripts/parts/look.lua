-- Part of the scripts that answer with the room but without its members.

-- Reads the room, as pairs of field and value.
local function look()
  local names = {'epoch', 'seq', 'capacity', 'count', 'version', 'locked', 'presenter', 'spotlight', 'properties', 'created', 'hooks', 'rules'}
  local pairs_of, values = {}, call('HMGET', ROOM, unpack(names))
  for i, value in ipairs(values) do
    if value then
      pairs_of[#pairs_of + 1] = names[i]
      pairs_of[#pairs_of + 1] = value
    end
  end
  return pairs_of
end
