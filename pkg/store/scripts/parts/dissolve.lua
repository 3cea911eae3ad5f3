-- A piece of unseat and of restore: makes an end of the room.
if R.out then
  --@ closed
end
call('DEL', ROOM, LOG, PREFIX .. 'chat:' .. NAME, PREFIX .. 'whiteboard:' .. NAME)
call('ZREM', ROOMS, NAME:match('/(.*)'))
R.gone = true
