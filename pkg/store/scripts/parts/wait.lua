-- A piece of join: takes a place in the queue, for the reason `why`. One that was lost with Redis' data is put back before those who came
-- later, and its node is to ask again while others may still be put back.
--@ let_go look lobby time
R.rules = R.rules or rules
local head, queue = queue_of()
if #queue >= tonumber(head:match('%d+$')) then return {'room_full'} end
local at = #queue + 1
if arrived == '0' then
  arrived = ('%d'):format(math.max(now_ms(), queue[1] and arrival(queue[#queue]) + 1 or 0))
else
  while at > 1 and arrival(queue[at - 1]) > tonumber(arrived) do at = at - 1 end
end
table.insert(queue, at, PEER)
call('HSET', ROOM, 'w:' .. PEER, NODE .. ' ' .. arrived .. ' c ' .. GENERATION .. ' ' .. grace
  .. (' %s %d %d %d '):format(why, #profile, #state, #ARGV[12]) .. profile .. state .. ARGV[12] .. ARGV[13])
hold(PEER)
tell('waiting-peer', '-', '{"type":"waiting-peer","room":"' .. NAME:match('/(.*)') .. '","reason":"' .. (why == 'f' and 'full' or 'moderated')
  .. '","peer":{"id":"' .. PEER .. '",' .. profile:sub(2) .. '}')
requeue(head, queue, shut)
commit()
return shut and {'recovering'} or place_of(PEER, arrived)
