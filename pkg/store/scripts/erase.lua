-- erase: takes back what is kept of a topic, the caller's last message, a certain one or all, and tells everybody.
-- Takes effect once, if the request has a number.
-- KEYS:  as of keep
-- ARGV:  7 topic, 8 number of the message, 'last' for the caller's last one, or 'all', 9 whether the caller may erase what others said
--        (0/1), 10 and 11 the event, cut where the number of the message belongs; with 'all' 10 alone
-- Returns {'ok', seq, number of the message or 0 for none, epoch}, {'repeated', seq, as before or 0}; {'not_member'}, {'fenced'}, {'no_room'},
--         {'forbidden'} for a message of another peer, {'outcome_unknown'}
-- Caller: Store.Erase
--@ open fence once tell append commit took
local topic, of, any, list = ARGV[7], ARGV[8], ARGV[9] == '1', KEYS[3]

local got = open('p:' .. PEER, 'r:' .. PEER, 'k:' .. topic)
local refused = fence(got[7])
if refused then return {refused} end
local before = repeated(got[8], REQUEST)
if before then return before end
local me = PEER == '' and '-' or PEER
if of == 'all' then
  if call('DEL', list) == 1 then
    call('HDEL', ROOM, 'k:' .. topic)
    tell('cleared', '-', ARGV[10])
  end
  took_effect() -- also of nothing: it must not erase later what was said meanwhile
  commit()
  return {'ok', R.seq, 0, R.epoch}
end

local function find()
  local last = -1
  while true do
    local entries = call('LRANGE', list, last - 63, last)
    for i = #entries, 1, -1 do
      local number, peer = entries[i]:match('^(%d+) %d+ (%S+)')
      if number == of or of == 'last' and peer == me then return entries[i], number, peer end
    end
    if #entries < 64 then return end
    last = last - 64
  end
end
local entry, number, peer = find()
if entry and peer ~= me and not any then return {'forbidden'} end
if entry then
  call('LREM', list, -1, entry)
  local bytes, dropped = (got[9] or '0 0'):match('^(%d+) (%d+)')
  R.set = {'k:' .. topic, ('%d %d'):format(math.max(bytes - #entry, 0), dropped)}
  tell('undone', '-', ARGV[10] .. number .. ARGV[11])
end
took_effect(number)
commit()
return {'ok', R.seq, tonumber(number or 0), R.epoch}
