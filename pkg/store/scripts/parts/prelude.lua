-- Prelude: put in front of every script, with the parts that it uses after it.
-- @PUBLISH@, @LOG_LENGTH@, @WINDOW@ (ms) and @WINDOWS@, two of them, are filled in at load.
-- KEYS:  1 room, 2 log; only in scripts that take or give up seats 3 held of the calling node, 4 rooms of the app, 5 away,
--        6 holders
-- ARGV:  1 <app>/<room>, 2 key prefix of the partition, 3 calling node, 4 calling peer, 5 the seat's generation,
--        6 number of the client's request, 0 for none; then the script's own
-- A seat record, field p:<peer> of the room, is "<node> <order> <status> <generation> <grace in ms> <profile>"; the node of an
-- away seat is '-'. s:<peer> is the peer's state, r:<peer> the last request that took effect: "<request> <seq> <result>".
local call, match, format, sub = redis.call, string.match, string.format, string.sub
local ROOM, LOG, HELD, ROOMS, AWAY, HOLDERS = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local NAME, PREFIX, NODE, PEER, GENERATION, REQUEST = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
