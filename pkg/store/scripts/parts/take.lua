-- Part of join, resume and restore, after held.

-- Gives a seat that is taken to the calling connection, unless a later one of the same session has it. The node that
-- held it is told, without a number. Returns nil or the status of a refusal.
local function take(peer, seat, generation, back_body)
  local node, order, status, old, grace, profile = match(seat, '^(%S+) (%S+) (%S+) (%S+) (%S+) (.*)$')
  if node == NODE and old == generation then return end
  if tonumber(old) > tonumber(generation) or status == 'c' and old == generation then return 'superseded' end
  if status == 'a' then
    call('ZREM', AWAY, NAME .. ' ' .. peer)
  else
    let_go(node, NAME .. ' ' .. peer)
  end
  fields['p:' .. peer] = NODE .. ' ' .. order .. ' c ' .. generation .. ' ' .. grace .. ' ' .. profile
  hold(peer)
  if node ~= NODE then
    shift(NODE, 1)
    shift(node, -1)
    if status ~= 'a' then
      post(node, '1v ' .. epoch .. ' ' .. format('%d', seq) .. ' ' .. NAME .. ' fenced ' .. peer
        .. ' - - {"type":"fenced","generation":' .. generation .. '}')
    end
  end
  if status == 'a' then tell('back-peer', peer, back_body) end
end
