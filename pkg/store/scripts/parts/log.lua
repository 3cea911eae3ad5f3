-- Part of the scripts that read the log, after the prelude.

-- Gives the records of an entry of the log: of one event, or "2" and for each its length and the record.
local function records_of(item)
  local text = item[2][2]
  if sub(text, 1, 2) ~= '2 ' then return {text} end
  local list, at = {}, 3
  while at <= #text do
    local length, from = match(text, '^(%d+) ()', at)
    list[#list + 1] = sub(text, from, from + length - 1)
    at = from + length + 1
  end
  return list
end

-- Gives the number of a record, its type, its receiver, who is excepted, and the request that it came from.
local function about(record) return match(record, '^%S+ %S+ (%S+) %S+ (%S+) (%S+) (%S+) (%S+)') end
