import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { FakeGateway } from './gateway.js';

/** What a worker thread does: takes a seat, and says the next thing that it hears. */
const THREAD = `
  const { parentPort, workerData } = require('node:worker_threads');

  (async () => {
    const { Signalbox } = await import(workerData.client);
    const { WebSocket } = await import(workerData.ws);
    const client = await Signalbox.connect(workerData.url, { app: 'demo', WebSocket });
    const room = await client.join('lobby');
    room.addEventListener('message', ({ detail }) => {
      client.close();
      parentPort.postMessage({ heard: detail.data, state: client.state });
    });
    parentPort.postMessage({ name: room.name });
  })();
`;

test('a client in a worker thread takes a seat, hears what is said, and lets the thread end', async (t) => {
  const gateway = await FakeGateway.start();
  const sessions = gateway.keepSessions();
  const workerData = { url: gateway.url, client: new URL('../src/index.js', import.meta.url).href, ws: import.meta.resolve('ws') };
  const thread = new Worker(THREAD, { eval: true, workerData });
  t.after(async () => {
    await thread.terminate();
    await gateway.stop();
  });
  assert.deepEqual(await once(thread, 'message'), [{ name: 'lobby' }]);
  sessions.tell('lobby', { event: { type: 'message', from: 'x', data: 'Hello' } });
  assert.deepEqual(await once(thread, 'message'), [{ heard: 'Hello', state: 'closed' }]);
  assert.deepEqual(await once(thread, 'exit'), [0]);
});
