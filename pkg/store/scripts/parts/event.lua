-- Part of the scripts that change a room, after append; but for send, which does all this at once for many messages.
-- A script reads the room with `open`, notes what is to change in `fields` and with `tell`, and writes it all with `commit`:
-- calls of commands, and the text that they pass, are what a script costs.

-- The room, as open has read it: epoch (false: there is no such room), number of the last event, "<node> <members> ...", and what
-- append says of the log.
local epoch, seq, nodes, extent
-- What commit writes: fields of the room, an entry of the log with the number of its last event, and records by inbox.
local fields, entry, logged, posts = {}, {}, nil, {}

-- Reads the room and some of its fields, which follow four others in the list that is returned.
local function open(...)
  local got = call('HMGET', ROOM, 'epoch', 'seq', 'nodes', 'log', ...)
  epoch, seq, nodes, extent = got[1], tonumber(got[2] or 0), got[3] or '', got[4] or '0 0'
  return got
end

-- Notes a record for a node's inbox.
local function post(node, record)
  local list = posts[node]
  if list then list[#list + 1] = record else posts[node] = {record} end
end

-- Numbers an event for the log and for the inbox of every node with a receiver. `except` is a peer of the calling node, or
-- '-'. The record says which request it came from, see repeated.
local function tell(kind, except, body)
  seq = seq + 1
  local record = '1 ' .. epoch .. ' ' .. format('%d', seq) .. ' ' .. NAME .. ' ' .. kind .. ' * ' .. except .. ' '
    .. (REQUEST == '0' and '-' or PEER .. '/' .. REQUEST) .. ' ' .. body
  fields.seq, logged = seq, seq
  entry[#entry + 1] = record
  for node, members in string.gmatch(nodes, '(%S+) (%S+)') do
    if except == '-' or node ~= NODE or members ~= '1' then post(node, record) end
  end
end

-- Makes one text of records: several are "2", and for each its length and the record.
local function join_records(list)
  if #list == 1 then return list[1] end
  local pieces = {'2'}
  for _, record in ipairs(list) do
    pieces[#pieces + 1] = #record
    pieces[#pieces + 1] = record
  end
  return table.concat(pieces, ' ')
end

-- Writes what was noted. Returns the fields that were written, and their values.
local function commit()
  local list = {}
  if logged then fields.log = append(extent, #entry, format('%d', logged), join_records(entry)) end
  if fields.seq then fields.seq = format('%d', fields.seq) end
  for field, value in pairs(fields) do
    list[#list + 1] = field
    list[#list + 1] = value
  end
  if #list > 0 then call('HSET', ROOM, unpack(list)) end
  for node, records in pairs(posts) do call('@PUBLISH@', PREFIX .. 'inbox:' .. node, join_records(records)) end
  fields, entry, logged, posts = {}, {}, nil, {}
  return list
end
