-- Part of the scripts that answer with the room, after the prelude.

-- Reads the room: its fields, and its members or none.
local function look(is_new, members)
  return {'ok', is_new, call('HMGET', ROOM, 'epoch', 'seq', 'capacity', 'count', 'version', 'locked',
    'presenter', 'spotlight', 'properties', 'created'), members and call('HGETALL', PEERS) or {}}
end
