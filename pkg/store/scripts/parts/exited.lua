-- A piece of unseat and of restore: notes for webhooks that a peer has left. `entered` is that of its seat, see entered.
--@ time
local since, id = (entered or ''):match('^(%d+) (.*)')
local data = '{"profile":' .. seat:match('^%S+ %S+ %S+ %S+ %S+ (.*)$') .. ',"event":' .. body
if since then data = data .. ',"duration":' .. ('%d'):format(now_ms() - since) end
R.out[#R.out + 1] = {'peer.left', id or R.epoch .. '-' .. R.seq .. '-' .. peer, data .. '}', R.seq}
