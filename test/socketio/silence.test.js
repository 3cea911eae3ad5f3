// A client that dies without a word is found by its heartbeat, whatever its version and transport.

import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { it } from 'node:test';

import { end, start } from '../process.js';
import { COMBINATIONS } from './clients.js';
import { newRoom, withEveryClient } from './suite.js';

const FROZEN = fileURLToPath(new URL('frozen.js', import.meta.url));

/** How often the gateways look for a sign of life, and how long it may take, in seconds. */
const [INTERVAL, TIMEOUT] = [1, 1];

/** What a busy machine may add to both, in seconds: less than the times that would be in force otherwise. */
const SLACK = 8;

const flags = [`--socketio.ping_interval=${INTERVAL}s`, `--socketio.ping_timeout=${TIMEOUT}s`];
withEveryClient('a silent death', { flags }, (stage) => {
  it('is told to the others in time, and once', async () => {
    const room = newRoom();
    const b = await stage.open().arrive();
    await b.do('join', room);
    const number = String(COMBINATIONS.indexOf(stage.combination));
    const child = start(process.execPath, [FROZEN, number, stage.cluster.url, room]);
    try {
      const [, id, transport] = await child.line(/^joined (\S+) (\S+)$/);
      assert.equal(transport, stage.combination.way.transports.at(-1));
      await b.hears('otherjoin', room, id);
      child.child.kill('SIGSTOP');
      const since = performance.now();
      await b.hears('bye', room, id);
      const seconds = (performance.now() - since) / 1000;
      assert.ok(seconds < INTERVAL + TIMEOUT + SLACK, `bye after ${seconds} s`);

      child.child.kill('SIGKILL'); // now the network tells, too
      await end(child.child);
      const c = await stage.open().arrive();
      await c.do('join', room);
      await c.do('message', room, 'last');
      await b.hears('message', room, 'last');
      assert.deepEqual(b.take(), [
        ['joined', room, b.id], ['otherjoin', room, id], ['bye', room, id], ['otherjoin', room, c.id], ['message', room, 'last'],
      ]);
    } finally {
      child.child.kill('SIGKILL');
    }
  });
});
