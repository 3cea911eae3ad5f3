-- Part of the scripts that read the log.

-- Gives the records of an entry of the log: of one event, or "2" and for each its length and the record.
local function records_of(item)
  local text = item[2][2]
  if text:sub(1, 2) ~= '2 ' then return {text} end
  local list, at = {}, 3
  while at <= #text do
    local length, from = text:match('^(%d+) ()', at)
    list[#list + 1] = text:sub(from, from + length - 1)
    at = from + length + 1
  end
  return list
end

-- Gives the number of a record, its type, its receiver, who is excepted, and the request that it came from.
local function about(record) return record:match('^%S+ %S+ (%S+) %S+ (%S+) (%S+) (%S+) (%S+)') end
