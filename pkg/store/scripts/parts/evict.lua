-- Part of close and finish, after open, tell, shift, let_go and unseat.

-- Takes every seat and every place away, tells it, `head` and `tail` the left-peer event as it is cut where the peer's id belongs, and makes an
-- end of the room. `text` is what is said about it, see close, or nil. Returns how many seats there were.
local function evict(why, head, tail, text)
  --@ lobby
  local all, seats = call('HGETALL', ROOM), 0
  R.closing, R.text = why, text
  for i = 1, #all, 2 do
    local kind, peer = all[i]:match('^([pw]):(.*)')
    local node = all[i + 1]:match('^%S+')
    if kind == 'p' then
      seats = seats + 1
      unseat(peer, all[i + 1], '-', head .. peer .. tail, true)
    elseif kind and node == '-' then
      call('ZREM', AWAY, NAME .. ' ' .. peer)
    elseif kind then
      let_go(node, NAME .. ' ' .. peer)
      turn_away(peer, all[i + 1], ',"reason":"' .. why .. '"' .. (text or ''))
    end
  end
  --@ dissolve
  return seats
end
