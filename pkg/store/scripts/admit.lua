-- admit: lets those in who wait for it in a moderated room, or sends who waits away, one peer or all.
-- Takes effect once, if the request has a number.
-- KEYS:  see the prelude
-- ARGV:  7 admit or deny, 8 peer or *, 9 who says so as a JSON member with a comma in front, or ''
-- Returns {'ok', seq, peers affected, epoch}, {'repeated', seq, peers affected or 0}; {'not_member'}, {'fenced'}, {'no_room'}, {'peer_gone'},
--         {'outcome_unknown'}
-- Caller: Store.Admit
--@ open fence once tell append commit shift let_go took lobby
local action, target, by = ARGV[7], ARGV[8], ARGV[9]

local got = open('p:' .. PEER, 'r:' .. PEER)
local refused = fence(got[7])
if refused then return {refused} end
local before = repeated(got[8], REQUEST)
if before then return before end
local head, queue = nil, {}
if R.rules then head, queue = queue_of() end
local affected = 0
for _, peer in ipairs(queue) do
  if target == '*' or peer == target then
    local record = call('HGET', ROOM, 'w:' .. peer)
    if action == 'deny' then
      local node = record:match('^%S+')
      unqueue(peer, record, 'denied')
      if node ~= '-' then turn_away(peer, record, ',"reason":"denied"' .. by) end
      affected = affected + 1
    else
      local start, rest = record:match('^(%S+ %S+ %S+ %S+ %S+) m (.*)$')
      if start then
        call('HSET', ROOM, 'w:' .. peer, start .. ' f ' .. rest)
        affected = affected + 1
      end
    end
  end
end
if affected == 0 and target ~= '*' then return {'peer_gone'} end
if action == 'admit' and affected > 0 then
  requeue(head, queue)
  call_next()
end
took_effect(affected)
commit()
return {'ok', R.seq, affected, R.epoch}
