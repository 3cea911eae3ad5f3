-- A piece of unseat: gives the peer that is there and has been for the longest time, if the room's rules have it become the presenter.
if R.rules and R.rules:match('^%S+ (%S)') == '1' then
  local all, least = call('HGETALL', ROOM), nil
  for i = 1, #all, 2 do
    local other = all[i]:match('^p:(.*)')
    local order, status = all[i + 1]:match('^%S+ (%d+) (%S)')
    if other and status == 'c' and (not least or tonumber(order) < least) then successor, least = other, tonumber(order) end
  end
end
