// A socket.io server as its documentation has it: rooms, and the Redis adapter for more than one process. It speaks the
// events of call and chat pages (docs/classic.md), so that one driver serves for it and for a gateway.
//
//   node socketio.js PORT REDIS_URL CAPACITY
//
// A join takes the seat first and counts then, over all processes: two that race can both give way, but no room stays over
// its capacity.

import { createServer } from 'node:http';

import { createAdapter } from '@socket.io/redis-adapter';
import { createClient } from 'redis';
import { Server } from 'socket.io';

const [port, redisURL, capacityText] = process.argv.slice(2);
const capacity = Number(capacityText);

const publisher = createClient({ url: redisURL });
const subscriber = publisher.duplicate();
for (const client of [publisher, subscriber]) {
  client.on('error', (error) => {
    console.error(error);
    process.exit(1);
  });
}
await Promise.all([publisher.connect(), subscriber.connect()]);

const server = createServer();
const io = new Server(server, { adapter: createAdapter(publisher, subscriber), serveClient: false });

/** Takes a seat, or answers that the room is full. */
async function join(namespace, socket, room, answer) {
  await socket.join(room);
  const ids = (await namespace.in(room).fetchSockets()).map((member) => member.id);
  if (ids.length > capacity) {
    await socket.leave(room);
    answer?.({ ok: false, error: { code: 'room_full', message: 'every seat is taken' } });
    return;
  }
  const others = ids.filter((id) => id !== socket.id);
  answer?.({ ok: true, room, id: socket.id, count: ids.length, capacity, others });
  socket.to(room).emit('otherjoin', room, socket.id);
}

/** Serves one namespace; send passes a message on. */
function serve(namespace, send) {
  namespace.on('connection', (socket) => {
    socket.on('join', (room, answer) => {
      join(namespace, socket, room, answer).catch((error) => {
        answer?.({ ok: false, error: { code: 'unavailable', message: error.message } });
      });
    });
    socket.on('leave', async (room, answer) => {
      await socket.leave(room);
      socket.to(room).emit('bye', room, socket.id);
      answer?.({ ok: true, room, id: socket.id });
    });
    socket.on('message', (room, data) => send(socket, room, data));
    socket.on('disconnecting', () => {
      for (const room of socket.rooms) {
        if (room !== socket.id) socket.to(room).emit('bye', room, socket.id);
      }
    });
  });
}

serve(io.of('/'), (socket, room, data) => socket.to(room).emit('message', room, data));
serve(io.of('/chat'), (socket, room, data) => io.of('/chat').to(room).emit('message', room, socket.id, data));

server.listen(Number(port), '127.0.0.1', () => console.log('ready'));
