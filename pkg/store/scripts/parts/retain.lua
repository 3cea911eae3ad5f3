-- A piece of call_next: notes when the room, which nobody has a seat in, is to go.
local time = call('TIME')
call('ZADD', PREFIX .. 'ends', ('%d'):format(time[1] * 1000 + math.floor(time[2] / 1000) + stays), NAME .. ' k')
