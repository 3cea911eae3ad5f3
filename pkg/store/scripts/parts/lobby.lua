-- Part of the scripts that deal with who waits, and a piece of unseat, after tell and shift, and where seats are given up let_go.
-- The room's field `rules` is "<ms that it stays when it is empty> <1 if the next peer becomes the presenter> <1 if moderators admit>
-- <most who may wait>", and then who waits, in order. w:<peer> is "<node> <arrived> <status> <generation> <grace in ms> <f or m> <length of
-- the profile> <of the state> <of the head> <profile><state><head><tail>": arrived is when it came (ms of Redis' clock, above that of
-- everybody before it); m waits to be admitted, f for a seat; head and tail are its joined-peer event, cut where the order belongs. Who
-- waits is in the held set of its node, or in the away set, as a seat is.

local function queue_of()
  if not R.rules then return '0 0 0 0', {} end
  local head, rest = R.rules:match('^(%S+ %S+ %S+ %S+)(.*)$')
  local queue = {}
  for peer in rest:gmatch('%S+') do queue[#queue + 1] = peer end
  return head, queue
end

-- Has a node alone learn something, without a number: an event of a kind for one of its peers, or '*'.
local function post(node, kind, peer, more)
  local list = R.posts[node] or {}
  list[#list + 1] = '1v ' .. R.epoch .. ' ' .. ('%d'):format(R.seq) .. ' ' .. NAME .. ' ' .. kind .. ' ' .. peer .. ' - - {"type":"' .. kind .. '"' .. more .. '}'
  R.posts[node] = list
end

-- When who waits came, and as a number.
local function arrived_of(record) return record:match('^%S+ (%S+)') end
local function arrival(peer) return tonumber(arrived_of(call('HGET', ROOM, 'w:' .. peer))) end

-- Has the node of who is sent away learn it.
local function turn_away(peer, record, more)
  post(record:match('^%S+'), 'denied', peer, ',"arrived":' .. arrived_of(record) .. more)
end

-- Reports whether seats may be given to who waits: not while those that were lost with Redis' data have time to be put back, see gate.
local function seats_are_known()
  local opens = call('GET', PREFIX .. 'gate')
  if opens == '0' then return true end
  --@ time
  return opens and tonumber(opens) <= now_ms()
end

-- Writes who waits, and has the nodes learn of it, unless more are still to be put back.
local function requeue(head, queue, quiet)
  R.rules = head
  if queue[1] then
    R.rules = head .. ' ' .. table.concat(queue, ' ')
    local places, nodes = {}, {}
    for i, peer in ipairs(queue) do
      local node, why = call('HGET', ROOM, 'w:' .. peer):match('^(%S+) %S+ %S+ %S+ %S+ (%S)')
      places[i], nodes[node] = peer .. ':' .. why, true
    end
    nodes['-'] = nil
    for node in pairs(quiet and {} or nodes) do post(node, 'queue', '*', ',"peers":"' .. table.concat(places, ' ') .. '"') end
  elseif head:find('^0 0 0 ') then
    R.rules = false -- what is as everywhere costs nothing from now on
    return call('HDEL', ROOM, 'rules')
  end
  call('HSET', ROOM, 'rules', R.rules)
end

-- Seats those who wait for it, in order, as long as there are seats, and the room is not locked. Reports whether the room stays though
-- nobody has a seat. `capacity` and `locked` are what they are about to be, or nil. The order of the last one is R.order from then on, as
-- it is not written yet; nobody of R.dead, a node that is being given up, is seated.
local function call_next(capacity, locked)
  local head, queue = queue_of()
  local got = queue[1] and call('HMGET', ROOM, 'capacity', 'order', 'locked') or {}
  local left, order, most = {}, R.order or tonumber(got[2] or 0), tonumber(capacity or got[1] or 0)
  local calls = queue[1] and R.count < most and (locked or got[3]) ~= '1' and seats_are_known()
  for _, peer in ipairs(queue) do
    local record = calls and R.count < most and call('HGET', ROOM, 'w:' .. peer) or ''
    local node, status, generation, grace, why, a, b, c, at = record:match('^(%S+) %S+ (%S) (%S+) (%S+) (%S) (%d+) (%d+) (%d+) ()')
    if status ~= 'c' or why ~= 'f' or node == R.dead then
      left[#left + 1] = peer
    else
      local state = at + a
      local body, set, n, entered, profile = state + b, R.set, #R.set, nil, record:sub(at, state - 1)
      order, R.count = order + 1, R.count + 1
      R.order = order
      call('HDEL', ROOM, 'w:' .. peer)
      set[n + 1], set[n + 2], set[n + 3] = 'order', order, 'p:' .. peer
      set[n + 4] = node .. ' ' .. order .. ' c ' .. generation .. ' ' .. grace .. ' ' .. profile
      if b ~= '0' then set[n + 5], set[n + 6] = 's:' .. peer, record:sub(state, body - 1) end
      shift(node, 1)
      tell('joined-peer', peer, record:sub(body, body + c - 1) .. order .. record:sub(body + c), true)
      if R.out then
        --@ entered
      end
      post(node, 'admitted', peer, '')
    end
  end
  if #left < #queue then requeue(head, left) end
  local stays = head:match('^%d+')
  if R.count > 0 then return true end
  if stays ~= '0' then
    --@ retain
  end
  return left[1] ~= nil or stays ~= '0'
end

-- Takes who waits out of the queue, and tells the room, whose end it may be.
local function unqueue(peer, record, reason)
  local node = record:match('^%S+')
  call('HDEL', ROOM, 'w:' .. peer)
  if node == '-' then call('ZREM', AWAY, NAME .. ' ' .. peer) else let_go(node, NAME .. ' ' .. peer) end
  local head, queue = queue_of()
  for i, other in ipairs(queue) do
    if other == peer then table.remove(queue, i) break end
  end
  requeue(head, queue)
  tell('gone-peer', '-', '{"type":"gone-peer","room":"' .. NAME:match('/(.*)') .. '","peer":"' .. peer .. '","reason":"' .. reason .. '"}')
  if R.count > 0 or queue[1] then return end
  local stays = head:match('^%d+')
  if stays ~= '0' then
    --@ retain
  else
    --@ dissolve
  end
end

-- Ends a connection's hold on a place: it is kept, away, for the grace, as a seat is.
local function lose_place(peer, record)
  local node, arrived, generation, grace, rest = record:match('^(%S+) (%S+) %S+ (%S+) (%S+) (.*)$')
  if grace == '0' then return unqueue(peer, record, 'disconnected') end
  --@ time
  local entry = NAME .. ' ' .. peer
  let_go(node, entry)
  call('HSET', ROOM, 'w:' .. peer, '- ' .. arrived .. ' a ' .. generation .. ' ' .. grace .. ' ' .. rest)
  call('ZADD', AWAY, ('%d'):format(now_ms() + grace), entry)
end

-- Gives a place to the calling connection, as take does with a seat, and the seat where that is free. Returns nil or the status of a
-- refusal.
local function take_place(peer, record)
  local node, arrived, status, old, rest = record:match('^(%S+) (%S+) (%S+) (%S+) (.*)$')
  if node == NODE and old == GENERATION then
    call_next() -- should nobody have been called when the gate opened
    return
  end
  if tonumber(old) > tonumber(GENERATION) or status == 'c' and old == GENERATION then return 'superseded' end
  if status == 'a' then call('ZREM', AWAY, NAME .. ' ' .. peer) else let_go(node, NAME .. ' ' .. peer) end
  call('HSET', ROOM, 'w:' .. peer, NODE .. ' ' .. arrived .. ' c ' .. GENERATION .. ' ' .. rest)
  hold(peer)
  if node ~= NODE and status ~= 'a' then post(node, 'fenced', peer, ',"generation":' .. GENERATION) end
  call_next()
end

-- The answer for who waits, once all is written: its place, why, and when it came.
local function place_of(peer, arrived)
  local _, queue = queue_of()
  for i, other in ipairs(queue) do
    if other == peer then
      return {'waiting', 0, look(), i, #queue, (call('HGET', ROOM, 'w:' .. peer):match('^%S+ %S+ %S+ %S+ %S+ (%S)')), arrived}
    end
  end
  return {'waiting', 0, look(), 0, #queue, 'f', arrived} -- it has been seated this moment, and its node learns of that
end
