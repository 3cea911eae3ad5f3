-- Part of join and snapshot, after the prelude.

-- Reads the room as join and snapshot answer it.
local function look(is_new, members)
  return {'ok', is_new, call('HMGET', ROOM, 'epoch', 'seq', 'capacity', 'count', 'version', 'locked',
    'presenter', 'spotlight', 'properties', 'created'), members and call('HGETALL', PEERS) or {}}
end
