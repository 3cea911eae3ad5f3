-- Part of resume and replay, after the prelude.

-- Gives the records of the log that the calling peer, or with '' anybody, is to get after number `since` of an epoch;
-- nil when that is not known any more. What was trimmed cannot be told from what was never logged. Nor is a peer told
-- what was before it took its seat, whatever number it names.
local function missed(epoch, since)
  local now = call('HMGET', ROOM, 'epoch', 'seq')
  if now[1] ~= epoch or since > tonumber(now[2]) then return nil end
  if since == tonumber(now[2]) then return {} end
  local first = call('XRANGE', LOG, '-', '+', 'COUNT', 1)[1]
  if not first or tonumber(string.match(first[1], '^%d+')) > since + 1 then return nil end
  local records = {}
  for _, entry in ipairs(call('XRANGE', LOG, string.format('%d-0', since + 1), '+')) do
    local record = entry[2][2]
    local kind, to, except = string.match(record, '^%S+ %S+ %S+ %S+ (%S+) (%S+) (%S+)')
    if kind == 'joined-peer' and except == PEER then return nil end
    if PEER == '' or to == PEER or to == '*' and except ~= PEER then records[#records + 1] = record end
  end
  return records
end
