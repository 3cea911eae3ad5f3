-- Part of the scripts that change a room, after open and append.

-- Makes one text of records: several are "2", and for each its length and the record.
local function one_text(records)
  if not records[2] then return records[1] end
  local pieces = {'2'}
  for _, record in ipairs(records) do
    pieces[#pieces + 1] = #record
    pieces[#pieces + 1] = record
  end
  return table.concat(pieces, ' ')
end

-- Writes what was noted, and publishes what was told.
local function commit()
  local told = #R.entry
  if R.gone then -- there is nothing to write to
  elseif told > 0 then
    local seq = ('%d'):format(R.seq)
    local extent = append(R.extent, told, seq, one_text(R.entry))
    call('HSET', ROOM, 'seq', seq, 'log', extent, 'nodes', R.nodes, 'count', R.count, unpack(R.set))
  elseif R.set[1] then
    call('HSET', ROOM, 'nodes', R.nodes, unpack(R.set))
  end
  if R.out and R.out[1] then
    --@ outbox
  end
  for node, records in pairs(R.posts) do call('@PUBLISH@', PREFIX .. 'inbox:' .. node, one_text(records)) end
end
