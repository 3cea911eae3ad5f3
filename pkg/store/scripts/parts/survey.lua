-- Part of restore.

-- Compares the seats that Redis has with those of ARGV from `first` on, nine arguments each. Returns whether one of these
-- is to be put back (0/1), the seats of the calling node that it does not name as a list of {peer, seat}, and the set of
-- all other seats' orders.
local function survey(first)
  local named, to_put, ghosts, orders = {}, 0, {}, {}
  for i = first, #ARGV, 9 do
    named[ARGV[i]] = true
    if ARGV[i + 1] ~= '' then to_put = 1 end
  end
  local all = call('HGETALL', ROOM)
  for i = 1, #all, 2 do
    local peer = all[i]:match('^p:(.*)')
    local node, order = all[i + 1]:match('^(%S+) (%S+)')
    if not peer then -- not a seat
    elseif node == NODE and not named[peer] then
      ghosts[#ghosts + 1] = {peer, all[i + 1]}
    else
      orders[order] = true
    end
  end
  return to_put, ghosts, orders
end
