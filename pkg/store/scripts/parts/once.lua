-- Part of the scripts whose requests take effect once, after log.

-- Answers a request that came before, and has taken effect. `last` is "<request> <seq> <result>" of the seat's last
-- one, from r:<peer>; an earlier one is looked for in the log. Returns nil for a new request.
local function repeated(last)
  if REQUEST == '0' or not last then return end
  local request, number, result = match(last, '^(%d+) (%d+) (%d+)')
  if tonumber(REQUEST) > tonumber(request) then return end
  if REQUEST == request then return {'repeated', tonumber(number), tonumber(result)} end
  for _, item in ipairs(call('XREVRANGE', LOG, '+', '-')) do
    local records = records_of(item)
    for i = #records, 1, -1 do -- the last one, of those that it told
      local of, _, _, _, by = about(records[i])
      if by == PEER .. '/' .. REQUEST then return {'repeated', tonumber(of), 0} end
    end
  end
  return {'outcome_unknown'}
end
