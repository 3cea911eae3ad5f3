-- Prelude: put in front of every script, with the parts that it uses after it.
-- @PUBLISH@, @LOG_LENGTH@ and @WINDOW@ (ms) are filled in at load.
-- KEYS:  1 room, 2 peers, 3 nodes, 4 log, 5 held of the calling node, 6 rooms of the app, 7 away,
--        8 holders; 5 to 8 only in scripts that take or give up seats
-- ARGV:  1 <app>/<room>, 2 key prefix of the partition, 3 calling node, 4 calling peer, 5 the seat's generation,
--        6 number of the client's request, 0 for none; then the script's own
local ROOM, PEERS, NODES, LOG = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local HELD, ROOMS, AWAY, HOLDERS = KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local NAME, PREFIX, NODE, PEER, GENERATION, REQUEST = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local call, INBOX = redis.call, PREFIX .. 'inbox:'

-- A seat record is "<node> <order> <status> <generation> <grace in ms> <profile>"; the node of an away seat is '-'.
local function node_of(seat) return string.match(seat, '^%S+') end

-- Refuses a call for a seat that is not there, or that another connection holds. Returns nil or the status.
local function fence(seat)
  if not seat then return 'not_member' end
  local node, generation = string.match(seat, '^(%S+) %S+ %S+ (%S+)')
  if node ~= NODE or generation ~= GENERATION then return 'fenced' end
end

local function now_ms()
  local time = call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Numbers an event, logs it unless volatile, and publishes it: to the node `at` of the one receiver ('-': it is
-- away), or to every node with a receiver. `except` is a peer of the calling node, or '-'. Returns its sequence
-- number. With the event the log says which request it came from, see repeated.
local function emit(kind, to, except, body, volatile, at)
  local seq = call('HINCRBY', ROOM, 'seq', 1)
  local record = (volatile and '1v ' or '1 ') .. call('HGET', ROOM, 'epoch') .. ' ' .. seq .. ' ' .. NAME .. ' ' .. kind
    .. ' ' .. to .. ' ' .. except .. ' ' .. body
  if not volatile then
    if REQUEST == '0' then
      call('XADD', LOG, 'MAXLEN', '~', @LOG_LENGTH@, seq .. '-0', 'e', record)
    else
      call('XADD', LOG, 'MAXLEN', '~', @LOG_LENGTH@, seq .. '-0', 'e', record, 'q', PEER .. ' ' .. REQUEST)
    end
    if call('PTTL', LOG) < @WINDOW@ then call('PEXPIRE', LOG, 2 * @WINDOW@) end
  end
  if at then
    if at ~= '-' then call('@PUBLISH@', INBOX .. at, record) end
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
