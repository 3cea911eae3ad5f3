-- A piece of dissolve: notes for webhooks that the room is no more.
local time, created = call('TIME'), call('HGET', ROOM, 'created')
R.out[#R.out + 1] = {'room.closed', R.life, '{"reason":"' .. (R.closing or 'empty') .. '","duration":'
  .. ('%d'):format(time[1] * 1000 + math.floor(time[2] / 1000) - (created or 0)) .. '}', R.seq}
