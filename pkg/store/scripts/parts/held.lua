-- Part of the scripts that take or give up seats, after the prelude.

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
