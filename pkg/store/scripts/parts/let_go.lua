-- Part of the scripts that end a node's hold on seats.

-- Notes that a node holds an entry "<app>/<room> <peer>" no more.
local function let_go(node, entry)
  local held = PREFIX .. 'held:' .. node
  call('SREM', held, entry)
  if call('EXISTS', held) == 0 then call('SREM', HOLDERS, node) end
end
