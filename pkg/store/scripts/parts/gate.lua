-- Part of join and restore, after time.

-- Tells whether new seats may be taken in the partition. A gate that is missing was lost with Redis' data, with all that
-- was there: it is shut for a time, in which the nodes put their seats back. One that was found open is '0' from then on.
local function gate_open(gate, opens, shut)
  local now = now_ms()
  if not opens then
    opens = now + shut
    call('SET', gate, ('%d'):format(opens))
  end
  if tonumber(opens) > now then return false end
  call('SET', gate, '0')
  return true
end
