-- announce adds to the cluster's bulletin. Each entry names the one before it, so that who follows knows of a gap.
local function announce(key, most, kind, body)
  local last = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
  redis.call('XADD', key, 'MAXLEN', most, '*', 'p', last and last[1] or '', 'k', kind, 'b', body)
end
