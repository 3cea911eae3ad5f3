-- Part of the scripts that end a connection's hold on seats, after time and unseat.

-- Takes a seat from its node: one with a grace is away from now on, another one is given up. The others are told.
local function depart(peer, seat, away_body, left_body)
  local node, order, _, generation, grace, profile = seat:match('^(%S+) (%S+) (%S+) (%S+) (%S+) (.*)$')
  if grace == '0' then return unseat(peer, seat, peer, left_body) end
  let_go(node, NAME .. ' ' .. peer)
  R.set = {'p:' .. peer, '- ' .. order .. ' a ' .. generation .. ' ' .. grace .. ' ' .. profile}
  call('ZADD', AWAY, ('%d'):format(now_ms() + grace), NAME .. ' ' .. peer)
  tell('away-peer', peer, away_body)
  shift(node, -1)
end
