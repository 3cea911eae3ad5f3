-- snapshot: reads a room, with its members or only their number. Changes nothing.
-- KEYS:  see the prelude
-- ARGV:  7 members (0/1); the calling peer is '' when no seat is required
-- Returns {'ok', 0, {the room}}; {'not_member'}, {'fenced'}. A missing room has no fields.
-- Caller: Store.Snapshot
if PEER ~= '' then
  --@ fence
  local refused = fence(call('HGET', ROOM, 'p:' .. PEER))
  if refused then return {refused} end
end
if ARGV[7] == '1' then return {'ok', 0, call('HGETALL', ROOM)} end
--@ look
return {'ok', 0, look()}
