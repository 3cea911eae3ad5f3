-- A piece of unseat and of restore: makes an end of the room.
call('DEL', ROOM, LOG, PREFIX .. 'chat:' .. NAME, PREFIX .. 'whiteboard:' .. NAME)
call('ZREM', ROOMS, NAME:match('/(.*)'))
R.gone = true
