-- Part of the scripts that change a room, but for send, which does all this at once for many messages.
-- A script reads the room with `open`, notes what is to change and `tell`s, and writes it all with `commit`: calls of
-- commands, and the text that they pass, are what a script costs.

-- The room, as open has read it: its epoch (false: there is no such room), the number of its last event, "<node> <seats> ...",
-- what append says of the log, the number of seats and who presents (false: nobody). And what commit writes: pairs of field and
-- value; an entry of the log; records for each inbox; or nothing but these, when nothing of the room is left. And where webhooks
-- are to tell of it, the room's life (see make), and what they are to tell: {kind, id, data, number} each. `rules` is what the
-- room has of a policy, and who waits, see lobby; false where there is nothing of either.
local R

-- Reads the room and some of its fields, which follow six others in the list that is returned.
local function open(...)
  local got = call('HMGET', ROOM, 'epoch', 'seq', 'nodes', 'log', 'count', 'presenter', 'hooks', 'rules', ...)
  local life, rules = table.remove(got, 7), table.remove(got, 7)
  R = {
    epoch = got[1], seq = tonumber(got[2] or 0), nodes = got[3] or '', extent = got[4] or '0 0', count = tonumber(got[5] or 0),
    presenter = got[6], set = {}, entry = {}, posts = {}, gone = false, life = life, out = life and {}, rules = rules,
  }
  return got
end
