-- A piece of sit: notes for webhooks that a peer has joined. j:<peer> is when, and the id by which they tell of the seat, both when
-- it is taken and when it is given up: "<unix ms> <epoch>-<seq>-<peer>". A seat that is put back brings its own along.
if not entered or entered == '' then
  --@ time
  entered = ('%d '):format(now_ms()) .. R.epoch .. '-' .. R.seq .. '-' .. peer
end
n = #set
set[n + 1], set[n + 2] = 'j:' .. peer, entered
R.out[#R.out + 1] = {'peer.joined', entered:match(' (.*)'), '{"peer":"' .. peer .. '","profile":' .. profile .. '}', R.seq}
