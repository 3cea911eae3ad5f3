-- Part of reap and expire.

-- Has the script speak of the room of an entry "<app>/<room> <peer>" of a held set or of the away set, whose keys no
-- caller can know: they are made here, of the same hash tag. Returns the room and the peer, nil if it is no entry.
local function visit(entry)
  local app, room, peer = entry:match('^([^/]*)/(%S*) (.*)$')
  if not app then return end
  NAME, ROOMS, AWAY = app .. '/' .. room, PREFIX .. 'rooms:' .. app, PREFIX .. 'away'
  ROOM, LOG = PREFIX .. 'room:' .. NAME, PREFIX .. 'log:' .. NAME
  return room, peer
end
