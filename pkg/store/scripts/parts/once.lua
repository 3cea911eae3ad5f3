-- Part of the scripts whose requests take effect once.

-- Answers a request that came before, and has taken effect. `last` is "<request> <seq> <result>" of the seat's last
-- one, from r:<peer>; an earlier one is looked for in the log. Returns nil for a new request.
local function repeated(last, request)
  if request == '0' or not last then return end
  local latest, number, result = last:match('^(%d+) (%d+) (%d+)')
  if tonumber(request) > tonumber(latest) then return end
  if request == latest then return {'repeated', tonumber(number), tonumber(result)} end
  --@ log
  for _, item in ipairs(call('XREVRANGE', LOG, '+', '-')) do
    local records = records_of(item)
    for i = #records, 1, -1 do -- the last one, of those that it told
      local of, _, _, _, by = about(records[i])
      if by == PEER .. '/' .. request then return {'repeated', tonumber(of), 0} end
    end
  end
  return {'outcome_unknown'}
end
