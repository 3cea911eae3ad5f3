-- Part of the scripts whose requests take effect once, and that keep the seat, after event.

-- Notes that the request took effect, with the event that was told last.
local function took_effect(result)
  if REQUEST ~= '0' then fields['r:' .. PEER] = REQUEST .. ' ' .. format('%d', seq) .. ' ' .. (result or '0') end
end
