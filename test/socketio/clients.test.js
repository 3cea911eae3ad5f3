// What every stock client does with its server: on polling alone, on a WebSocket alone, and on the way from the one to
// the other.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { arrival, COMBINATIONS, dial, next, PATIENCE } from './clients.js';
import { startRoad, startServer } from './server.js';

describe('stock clients against pkg/socketio', { concurrency: 4 }, () => {
  let server;
  before(async () => {
    server = await startServer();
  });
  after(() => server.stop());

  for (const combination of COMBINATIONS) {
    const { name, client: { protocol }, way } = combination;
    describe(name, { concurrency: 1, timeout: 4 * PATIENCE }, () => {
      const open = [];
      after(() => open.forEach((socket) => socket.close()));

      /** Connects to a namespace, over a connection of its own. */
      function begin(namespace = '', options = {}, port = server.port) {
        const socket = dial(combination, `http://127.0.0.1:${port}${namespace}`, options);
        open.push(socket);
        return socket;
      }

      /** Connects, and waits until the way's last transport is reached. */
      async function arrive(namespace, options, port) {
        const socket = begin(namespace, options, port);
        await arrival(socket, way);
        assert.equal(socket.io.engine.transport.name, way.transports.at(-1));
        return socket;
      }

      /** Sends arguments and gives what comes back. */
      async function echo(socket, ...args) {
        const back = next(socket, 'message-back');
        socket.emit('message', ...args);
        return back;
      }

      it('connects, and knows its id', async () => {
        const root = await arrive();
        const custom = await arrive('/custom');
        if (protocol === 4) {
          assert.equal(root.id, root.io.engine.id);
          assert.equal(custom.id, `/custom#${custom.io.engine.id}`);
        } else {
          assert.match(root.id, /^[\w-]{20}$/);
          assert.notEqual(root.id, root.io.engine.id);
        }
      });

      it('shares one connection between namespaces', async () => {
        const manager = begin();
        const custom = manager.io.socket('/custom');
        custom.open?.();
        await Promise.all([manager, custom].map((socket) => socket.connected || next(socket, 'connect')));
        assert.deepEqual(await echo(custom, 'there'), ['there']);
        assert.deepEqual(await echo(manager, 'here'), ['here']);
        const left = next(custom, 'disconnect');
        custom.close();
        await left;
        assert.deepEqual(await echo(manager, 'still here'), ['still here']);
      });

      it('is told that a namespace is not served', async () => {
        const socket = begin('/random');
        const [error] = await next(socket, protocol === 4 ? 'error' : 'connect_error');
        assert.equal(error.message ?? error, 'Invalid namespace');
      });

      it('sends what it is told to at connecting', async () => {
        const socket = begin('', { auth: { token: '😀' } });
        const [auth] = await next(socket, 'auth');
        assert.deepEqual(auth, protocol === 4 ? {} : { token: '😀' });
      });

      it('gets arguments back as they were', async () => {
        const socket = await arrive();
        const args = [1, -0.5, 'two', null, true, { three: [3, { four: 'é中😀\u2028<>&"\\\n' }] }, []];
        assert.deepEqual(await echo(socket, ...args), args);
        assert.deepEqual(await echo(socket), []);
      });

      it('carries emoji and 64 KB', async () => {
        const socket = await arrive();
        for (const text of ['😀', '中文é😀'.repeat(100), 'x'.repeat(64 * 1024), '😀'.repeat(16 * 1024), '"\\'.repeat(32 * 1024)]) {
          assert.deepEqual(await echo(socket, text, text.length), [text, text.length]);
        }
      });

      it('gets acknowledgements', async () => {
        const socket = await arrive();
        const answer = await new Promise((resolve) => {
          socket.emit('message-with-ack', 1, 'zwei', { drei: '😀' }, (...args) => resolve(args));
        });
        assert.deepEqual(answer, [1, 'zwei', { drei: '😀' }]);
        const binary = await new Promise((resolve) => {
          socket.emit('message-with-ack', Buffer.from([1, 2, 3]), (...args) => resolve(args));
        });
        assert.deepEqual(Buffer.from(binary[0]), Buffer.from([1, 2, 3]));
      });

      it('gives acknowledgements', async () => {
        const socket = await arrive();
        socket.on('question', (...args) => {
          const answer = args.pop();
          answer('heard', ...args);
        });
        socket.emit('ask', 'why', 7);
        assert.deepEqual(await next(socket, 'answered'), ['heard', 'why', 7]);
        socket.emit('ask', Buffer.from('bytes'));
        const [heard, bytes] = await next(socket, 'answered');
        assert.equal(heard, 'heard');
        assert.equal(Buffer.from(bytes).toString(), 'bytes');
      });

      it('carries bytes', async () => {
        const socket = await arrive();
        const all = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
        const [first, inner, text] = await echo(socket, all, { deep: [Buffer.alloc(100_000, 7)] }, '😀');
        assert.deepEqual(Buffer.from(first), all);
        assert.deepEqual(Buffer.from(inner.deep[0]), Buffer.alloc(100_000, 7));
        assert.equal(text, '😀');
      });

      it('keeps the order of 300 messages each way, across the upgrade', async () => {
        const socket = begin();
        const numbers = [];
        const echoes = [];
        const done = new Promise((resolve) => {
          const check = () => numbers.length === 300 && echoes.length === 300 && resolve();
          socket.on('number', (n) => { numbers.push(n); check(); });
          socket.on('message-back', (n) => { echoes.push(n); check(); });
        });
        socket.emit('message', 0); // before it is connected
        await next(socket, 'connect');
        for (let i = 1; i < 300; i++) {
          socket.emit('message', i);
          if (i === 100) socket.emit('burst');
          if (i % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
        }
        await Promise.race([done, next(socket, 'never')]);
        const wanted = Array.from({ length: 300 }, (_, i) => i);
        assert.deepEqual(numbers, wanted);
        assert.deepEqual(echoes, wanted);
      });

      it('stays connected while nothing is said', async () => {
        const socket = await arrive();
        socket.on('disconnect', (reason) => assert.fail(reason));
        await new Promise((resolve) => setTimeout(resolve, 3500)); // the sum of both times, and more
        assert.deepEqual(await echo(socket, 'awake'), ['awake']);
        socket.off('disconnect');
      });

      it('is put out by the server, and may come back', async () => {
        const socket = await arrive();
        let left = next(socket, 'disconnect');
        socket.emit('disconnect-me');
        assert.deepEqual((await left)[0], 'io server disconnect');
        const back = next(socket, 'connect');
        socket.open();
        await back;
        left = next(socket, 'disconnect');
        socket.emit('close-me');
        assert.deepEqual((await left)[0], 'io server disconnect');
      });

      it('reconnects after a cut, under a new id', async () => {
        const road = await startRoad(server.port);
        try {
          const socket = await arrive('', {}, road.port);
          const id = socket.id;
          for (let i = 0; i < 3; i++) {
            const left = next(socket, 'disconnect');
            const back = next(socket, 'connect');
            road.cut();
            await left;
            road.mend();
            await back;
            assert.deepEqual(await echo(socket, 'again', i), ['again', i]);
          }
          assert.notEqual(socket.id, id);
          socket.close();
        } finally {
          road.stop();
        }
      });
    });
  }
});
