-- Prelude: put in front of every script, with the parts (look, merge, unseat) that it uses after it.
-- @PUBLISH@, @LOG_LENGTH@ and @WINDOW@ (ms) are filled in at load.
-- KEYS:  1 room, 2 peers, 3 nodes, 4 log, 5 held of the calling node, 6 rooms of the app
-- ARGV:  1 <app>/<room>, 2 inbox channel prefix, 3 calling node, 4 calling peer; then the script's own
local ROOM, PEERS, NODES, LOG, HELD, ROOMS = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local NAME, INBOX, NODE, PEER = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local call = redis.call

-- A seat record is "<node> <order> <status> <generation> <profile>".
local function node_of(seat) return string.match(seat, '^%S+') end

-- Refuses a call for a seat that is not there or that another node holds. Returns nil or the status.
local function fence(seat)
  if not seat then return 'not_member' end
  if node_of(seat) ~= NODE then return 'fenced' end
end

-- Numbers an event, logs it unless volatile, and publishes it: to the node `at` of the one receiver, or to
-- every node with a receiver. `except` is a peer of the calling node, or '-'. Returns its sequence number.
local function emit(kind, to, except, body, volatile, at)
  local seq = call('HINCRBY', ROOM, 'seq', 1)
  local record = '1 ' .. call('HGET', ROOM, 'epoch') .. ' ' .. seq .. ' ' .. NAME .. ' ' .. kind
    .. ' ' .. to .. ' ' .. except .. ' ' .. body
  if not volatile then
    call('XADD', LOG, 'MAXLEN', '~', @LOG_LENGTH@, seq .. '-0', 'e', record)
    if call('PTTL', LOG) < @WINDOW@ then call('PEXPIRE', LOG, 2 * @WINDOW@) end
  end
  if at then
    call('@PUBLISH@', INBOX .. at, record)
    return seq
  end
  local nodes = call('HGETALL', NODES)
  for i = 1, #nodes, 2 do
    if except == '-' or nodes[i] ~= NODE or nodes[i + 1] ~= '1' then
      call('@PUBLISH@', INBOX .. nodes[i], record)
    end
  end
  return seq
end
