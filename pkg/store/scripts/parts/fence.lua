-- Part of the scripts that speak for a seat.

-- Refuses a call for a seat that is not there, or that another connection holds. The operator, whose peer is '', needs none,
-- but a room. Returns nil or the status.
local function fence(seat)
  if not seat then
    if PEER ~= '' then return 'not_member' end
    return call('EXISTS', ROOM) == 0 and 'no_room' or nil
  end
  local node, generation = seat:match('^(%S+) %S+ %S+ (%S+)')
  if node ~= NODE or generation ~= GENERATION then return 'fenced' end
end
