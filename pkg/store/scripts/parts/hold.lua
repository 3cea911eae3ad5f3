-- Part of the scripts that take seats.

-- Notes that the calling node holds a seat. All nodes that hold any are in HOLDERS: should one be on no roster, its seats
-- are found by that.
local function hold(peer)
  call('SADD', HELD, NAME .. ' ' .. peer)
  call('SADD', HOLDERS, NODE)
end
