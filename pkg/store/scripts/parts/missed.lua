-- Part of resume and replay, after open and log.

-- Gives the number of the first event that the log has, nil when it has none.
local function reach()
  local first = call('XRANGE', LOG, '-', '+', 'COUNT', '1')[1]
  return first and tonumber((about(records_of(first)[1])))
end

-- Gives the records of the log that the calling peer, or with '' anybody, is to get after number `since` of an epoch;
-- nil when that is not known any more. What was trimmed cannot be told from what was never logged. Nor is a peer told
-- what was before it took its seat, whatever number it names.
local function missed(of_epoch, since)
  if of_epoch ~= R.epoch or since > R.seq then return nil end
  if since == R.seq then return {} end
  local first = reach()
  if not first or first > since + 1 then return nil end
  local records = {}
  for _, item in ipairs(call('XRANGE', LOG, ('%d-0'):format(since + 1), '+')) do
    for _, record in ipairs(records_of(item)) do
      local number, kind, to, except = about(record)
      if tonumber(number) <= since then -- seen
      elseif kind == 'joined-peer' and except == PEER then
        return nil
      elseif PEER == '' or to == PEER or to == '*' and except ~= PEER then
        records[#records + 1] = record
      end
    end
  end
  return records
end
