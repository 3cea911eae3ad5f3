-- Part of commit and of send.

-- Adds the events of a call to the log: one entry, whose id is the number of the last of them. The log is trimmed when it has
-- had another @LOG_LENGTH@ events, to those that came after the time before. `extent` is the room's field of that, "<events>
-- <number>": how many it has had since that one ('0 0' before the first). Returns what it is then.
local function append(extent, events, last, text)
  local had, since = extent:match('^(%d+) (%d+)')
  had = had + events
  call('XADD', LOG, last .. '-0', 'e', text)
  if had >= @LOG_LENGTH@ then
    call('XTRIM', LOG, 'MINID', since)
    had, since = 0, last
  end
  if extent == '0 0' or call('PTTL', LOG) < @WINDOW@ then call('PEXPIRE', LOG, '@WINDOWS@') end
  return had .. ' ' .. since
end
