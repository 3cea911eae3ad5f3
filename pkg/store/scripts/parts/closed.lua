-- A piece of dissolve: notes for webhooks that the room is no more.
--@ time
local created = call('HGET', ROOM, 'created')
R.out[#R.out + 1] = {'room.closed', R.life, '{"reason":"' .. (R.closing or 'empty') .. '"' .. (R.text or '') .. ',"duration":'
  .. ('%d'):format(now_ms() - (created or 0)) .. '}', R.seq}
