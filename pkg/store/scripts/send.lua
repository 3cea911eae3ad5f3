-- send: relays messages of one peer to one peer or to everybody. The hot path: what waits goes together, in order; the room is
-- read and written once, as by open and commit, but with no table or function that is not needed.
-- A message takes effect once, if its request has a number.
-- KEYS:  see the prelude. Where the receiver is missing the partition's gate is looked at, see join: its key carries the same
--        hash tag, so it lies in the same slot.
-- ARGV:  1 to 5 as in the prelude; 6 event type, 7 receiver or *, 8 excepted peer or -, 9 volatile (0/1); then for each message
--        the number of its request and the event. Numbers rise, or are 0.
-- Returns {'ok', ...} with for each message its number, or where it came before that of the first time, or why it was refused:
--         outcome_unknown, peer_gone or recovering; {'not_member'}, {'fenced'}
-- Caller: Store.Send
--@ fence once append
local to, volatile, argc = ARGV[7], ARGV[9] == '1', #ARGV
local got = call('HMGET', ROOM, 'epoch', 'seq', 'nodes', 'log', 'p:' .. PEER, 'r:' .. PEER, 'p:' .. to) -- no peer is called *
local refused = fence(got[5])
if refused then return {refused} end
if to ~= '*' and not got[7] then
  -- While seats that were lost with Redis' data are put back, nobody knows who is gone.
  local gate, time = call('GET', PREFIX .. 'gate'), call('TIME')
  refused = (not gate or tonumber(gate) > time[1] * 1000 + time[2] / 1000) and 'recovering' or 'peer_gone'
end

local answers, seq, last, events, text, pieces = {'ok'}, got[2], got[6], 0, nil, argc > 11 and {'2'}
local head = (volatile and '1v ' or '1 ') .. got[1] .. ' '
local tail = ' ' .. NAME .. ' ' .. ARGV[6] .. ' ' .. to .. ' ' .. ARGV[8] .. ' '
for i = 10, argc, 2 do
  local request = ARGV[i]
  local before = repeated(last, request)
  if before then
    answers[#answers + 1] = before[2] or before[1]
  elseif refused then
    answers[#answers + 1] = refused
  else
    local by, body = '- ', ARGV[i + 1]
    seq, events = ('%d'):format(seq + 1), events + 1
    if request ~= '0' then
      by = PEER .. '/' .. request .. ' '
      last = request .. ' ' .. seq .. ' 0'
    end
    answers[#answers + 1] = tonumber(seq)
    if pieces then
      local record = head .. seq .. tail .. by
      local n = #pieces
      pieces[n + 1], pieces[n + 2], pieces[n + 3] = (' %d '):format(#record + #body), record, body
    else
      text = head .. seq .. tail .. by .. body
    end
  end
end
if events == 0 then return answers end
if pieces then text = events > 1 and table.concat(pieces) or pieces[3] .. pieces[4] end

local extent = got[4] or '0 0'
if not volatile then extent = append(extent, events, seq, text) end
if last then
  call('HSET', ROOM, 'seq', seq, 'log', extent, 'r:' .. PEER, last)
else
  call('HSET', ROOM, 'seq', seq, 'log', extent)
end
if to ~= '*' then
  local node = got[7]:match('^%S+')
  if node ~= '-' then call('@PUBLISH@', PREFIX .. 'inbox:' .. node, text) end
  return answers
end
for other, members in got[3]:gmatch('(%S+) (%S+)') do
  if ARGV[8] == '-' or other ~= NODE or members ~= '1' then call('@PUBLISH@', PREFIX .. 'inbox:' .. other, text) end
end
return answers
