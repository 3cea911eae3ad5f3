-- Part of the scripts that tell events, after open.

-- Numbers an event for the log and for the inbox of every node with a receiver. `except` is a peer of the calling node, or
-- '-', or with `elsewhere` a peer of any node. The record says which request it came from, see repeated.
local function tell(kind, except, body, elsewhere)
  R.seq = R.seq + 1
  local by = REQUEST == '0' and '-' or PEER .. '/' .. REQUEST
  local record = '1 ' .. R.epoch .. ' ' .. R.seq .. ' ' .. NAME .. ' ' .. kind .. ' * ' .. except .. ' ' .. by .. ' ' .. body
  R.entry[#R.entry + 1] = record
  for node, seats in R.nodes:gmatch('(%S+) (%S+)') do
    if except == '-' or elsewhere or node ~= NODE or seats ~= '1' then
      local list = R.posts[node]
      if list then list[#list + 1] = record else R.posts[node] = {record} end
    end
  end
end
