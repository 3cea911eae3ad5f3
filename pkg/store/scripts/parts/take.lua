-- Part of join, resume and restore, after tell, shift, hold and let_go.

-- Gives a seat that is taken to the calling connection, unless a later one of the same session has it. The node that
-- held it is told, without a number. Returns nil or the status of a refusal.
local function take(peer, seat, generation, back_body)
  local node, order, status, old, grace, profile = seat:match('^(%S+) (%S+) (%S+) (%S+) (%S+) (.*)$')
  if node == NODE and old == generation then return end
  if tonumber(old) > tonumber(generation) or status == 'c' and old == generation then return 'superseded' end
  local entry, n = NAME .. ' ' .. peer, #R.set
  if status == 'a' then call('ZREM', AWAY, entry) else let_go(node, entry) end
  R.set[n + 1] = 'p:' .. peer
  R.set[n + 2] = NODE .. ' ' .. order .. ' c ' .. generation .. ' ' .. grace .. ' ' .. profile
  hold(peer)
  if node ~= NODE then
    shift(NODE, 1)
    shift(node, -1)
    if status ~= 'a' then
      local list = R.posts[node] or {}
      list[#list + 1] = '1v ' .. R.epoch .. ' ' .. R.seq .. ' ' .. NAME .. ' fenced ' .. peer
        .. ' - - {"type":"fenced","generation":' .. generation .. '}'
      R.posts[node] = list
    end
  end
  if status == 'a' then tell('back-peer', peer, back_body) end
end
