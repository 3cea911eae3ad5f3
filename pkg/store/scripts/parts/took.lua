-- Part of the scripts whose requests take effect once, and that keep the seat, after tell.

-- Notes that the request took effect, with the event that was told last.
local function took_effect(result)
  if REQUEST == '0' then return end
  local n = #R.set
  R.set[n + 1], R.set[n + 2] = 'r:' .. PEER, REQUEST .. ' ' .. R.seq .. ' ' .. (result or '0')
end
