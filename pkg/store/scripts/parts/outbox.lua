-- A piece of commit: puts what webhooks are to tell into the partition's outbox, whose key carries the same hash tag. What is in it
-- was not delivered: what is trimmed is counted.
--@ time
local outbox, now = PREFIX .. 'outbox', ('%d'):format(now_ms())
for _, e in ipairs(R.out) do
  call('XADD', outbox, '*', 'e', '1 ' .. e[2] .. '-' .. e[1] .. ' ' .. NAME .. ' ' .. R.epoch .. ' ' .. ('%d'):format(e[4]) .. ' '
    .. e[1] .. ' ' .. now .. ' ' .. e[3])
end
local over = call('XLEN', outbox) - @OUTBOX_LENGTH@
if over > 0 then
  call('XTRIM', outbox, 'MAXLEN', '@OUTBOX_LENGTH@')
  call('INCRBY', outbox .. ':trimmed', over)
end
