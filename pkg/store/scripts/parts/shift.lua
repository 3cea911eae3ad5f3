-- Part of the scripts that take or give up seats, after open.

-- Takes a number of a node's seats more into what is kept of the nodes. One without a seat hears of the room no more.
local function shift(node, by)
  if node == '-' then return end
  local list, found = {}, false
  for other, seats in R.nodes:gmatch('(%S+) (%S+)') do
    if other == node then seats, found = seats + by, true end
    if seats ~= 0 then list[#list + 1] = other .. ' ' .. seats end
  end
  if not found and by > 0 then list[#list + 1] = node .. ' ' .. by end
  R.nodes = table.concat(list, ' ')
end
