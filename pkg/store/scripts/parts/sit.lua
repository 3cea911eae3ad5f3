-- Part of join and restore, after tell, shift and hold.

-- Gives the calling node a seat, counted already, and tells the others. `last` is the order of the room's last seat from then on, and
-- `entered` what it had as j:<peer>, if it was lost.
local function sit(peer, order, last, generation, grace, profile, state, body, entered)
  local set = R.set
  local n = #set
  set[n + 1], set[n + 2], set[n + 3] = 'order', last, 'p:' .. peer
  set[n + 4] = NODE .. ' ' .. order .. ' c ' .. generation .. ' ' .. grace .. ' ' .. profile
  if state ~= '' then set[n + 5], set[n + 6] = 's:' .. peer, state end
  shift(NODE, 1)
  hold(peer)
  tell('joined-peer', peer, body)
  if R.out then
    --@ entered
  end
end
