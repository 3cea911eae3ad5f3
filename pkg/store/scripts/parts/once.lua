-- Part of the scripts whose requests take effect once, after the prelude.

-- Answers a request that came before, and has taken effect. `last` is "<request> <seq> <result>" of the seat's last
-- one, from r:<peer>; an earlier one is looked for in the log. Returns nil for a new request.
local function repeated(last)
  if REQUEST == '0' or not last then return end
  local request, seq, result = string.match(last, '^(%d+) (%d+) (%d+)')
  if tonumber(REQUEST) > tonumber(request) then return end
  if REQUEST == request then return {'repeated', tonumber(seq), tonumber(result)} end
  local tag = PEER .. ' ' .. REQUEST
  for _, entry in ipairs(call('XREVRANGE', LOG, '+', '-')) do
    if entry[2][4] == tag then return {'repeated', tonumber(string.match(entry[1], '^%d+')), 0} end
  end
  return {'outcome_unknown'}
end

-- Notes that the request took effect.
local function took_effect(seq, result)
  if REQUEST ~= '0' then call('HSET', PEERS, 'r:' .. PEER, REQUEST .. ' ' .. seq .. ' ' .. (result or 0)) end
end
