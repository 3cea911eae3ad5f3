-- Part of the scripts that take or give up seats, after the prelude.

-- The number of seats that are taken, and who presents (false: nobody), as enter has read them.
local count, presenter

-- Reads the room as open does; six fields are in front of those that were asked for.
local function enter(...)
  local got = open('count', 'presenter', ...)
  count, presenter = tonumber(got[5] or 0), got[6]
  return got
end

-- Takes a number of seats more into the count of all.
local function recount(by)
  count = count + by
  fields.count = format('%d', count)
end

-- Takes a number of a node's seats more into what is kept of the nodes. One without a seat hears of the room no more.
local function shift(node, by)
  if node == '-' then return end
  local list, found = {}, false
  for other, members in string.gmatch(nodes, '(%S+) (%S+)') do
    if other == node then members, found = members + by, true end
    if members ~= 0 then list[#list + 1] = other .. ' ' .. members end
  end
  if not found and by > 0 then list[#list + 1] = node .. ' ' .. by end
  nodes = table.concat(list, ' ')
  fields.nodes = nodes
end

-- Notes that the calling node holds a seat. All nodes that hold any are in HOLDERS: should one be on no roster, its seats
-- are found by that.
local function hold(peer)
  call('SADD', HELD, NAME .. ' ' .. peer)
  call('SADD', HOLDERS, NODE)
end

-- Notes that a node holds an entry "<app>/<room> <peer>" no more.
local function let_go(node, entry)
  local held = PREFIX .. 'held:' .. node
  call('SREM', held, entry)
  if call('EXISTS', held) == 0 then call('SREM', HOLDERS, node) end
end

-- Makes an end of the room.
local function dissolve()
  call('DEL', ROOM, LOG)
  call('ZREM', ROOMS, match(NAME, '/(.*)'))
  fields, entry, logged = {}, {}, nil
end
