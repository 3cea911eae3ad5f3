-- A piece of call_next: notes when the room, which nobody has a seat in, is to go.
--@ time
call('ZADD', PREFIX .. 'ends', ('%d'):format(now_ms() + stays), NAME .. ' k')
