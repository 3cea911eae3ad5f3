// What is sent arrives as it was, in its order, and clients come back, with every request on a gateway at random.

import assert from 'node:assert/strict';
import { it } from 'node:test';

import { next, until } from './clients.js';
import { assertRefused, newRoom, withEveryClient } from './suite.js';

const BYTES = Buffer.from(Array.from({ length: 256 }, (_, i) => i));

/** What may be the data of a message. */
const VALUES = [
  null, true, 0, -1.5, 1e300, '', 'text', [], {}, [1, [2, [3]]], { a: { b: { c: null } }, 'ключ': 'é中😀' },
  '\u0000\u001e\u2028<>&"\\\n', '\ud800', 'x\udc00y', { '\udfff': ['\ud83d'] }, 'é中😀'.repeat(100),
  { description: { type: 'offer', sdp: 'a=candidate:1 1 udp 2122260223 192.0.2.1 61764 typ host\r\n'.repeat(200) } },
  'x'.repeat(64 * 1024), '😀'.repeat(16 * 1024), '"\\'.repeat(16 * 1024), { _placeholder: true, num: 0 },
  BYTES, { file: BYTES, name: 'é😀' }, [BYTES, { deep: [Buffer.from([1]), null, Buffer.from('two')] }, 'x'],
  Buffer.alloc(64 * 1024, 7), Array.from({ length: 10 }, (_, i) => Buffer.alloc(i + 1, i)),
];

// Who is gone is not found by a heartbeat before a test has failed.
const flags = ['--socketio.ping_interval=1m', '--socketio.ping_timeout=1m'];

withEveryClient('traffic', { flags }, (stage) => {
  for (const [namespace, name] of [['', 'a call'], ['/chat', 'a chat']]) {
    it(`carries values of every kind through ${name}, also to another client`, async () => {
      const room = newRoom();
      const [a, b] = await stage.pair(namespace);
      await a.do('join', room);
      await b.do('join', room);
      await exchange(namespace, room, a, b);
      await b.do('leave', room);
      const c = await stage.open(namespace, { combination: stage.other }).arrive();
      await c.do('join', room);
      await exchange(namespace, room, a, c);
    });
  }

  /** Sends values from each peer to the other. */
  async function exchange(namespace, room, ...peers) {
    for (const [sender, receiver] of [peers, [...peers].reverse()]) {
      receiver.take();
      for (const value of VALUES) await sender.do('message', room, value);
      await sender.do('message', room, 'last');
      const event = (value) => (namespace ? ['message', room, sender.id, value] : ['message', room, value]);
      await receiver.hears(...event('last'));
      const wanted = [...VALUES, 'last'].map(event);
      const heard = receiver.take().filter(([name, , from]) => name === 'message' && (!namespace || from === sender.id));
      wanted.forEach((one, i) => assert.deepEqual(heard[i], one));
      assert.equal(heard.length, wanted.length);
    }
  }

  it('refuses what is too large, and stays', async () => {
    const room = newRoom();
    const [a, b] = await stage.pair();
    await a.do('join', room);
    await b.do('join', room);
    assertRefused(await a.ask('message', room, 'x'.repeat(140_000)), 'too_large');
    assertRefused(await a.ask('message', room, Buffer.alloc(140_000)), 'too_large');
    await a.do('message', room, 'last');
    await b.hears('message', room, 'last');
    assert.deepEqual(b.take(), [['joined', room, b.id], ['message', room, 'last']]);
  });

  it('keeps the order of 300 messages each way, across the upgrade', async () => {
    const room = newRoom();
    const numbers = Array.from({ length: 300 }, (_, i) => i);
    const b = await stage.open().arrive();
    await b.do('join', room);
    const a = stage.open();
    a.emit('join', room); // before it is connected
    const send = async (sender) => {
      for (const i of numbers) {
        sender.emit('message', room, i);
        if (i % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
      }
    };
    const back = b.until('the other', () => b.heard.some(([name]) => name === 'otherjoin')).then(() => send(b));
    await Promise.all([send(a), back]);
    await Promise.all([a, b].map((peer) => peer.hears('message', room, numbers.at(-1))));
    await a.arrive();
    for (const sender of [a, b]) await sender.do('message', room, 'last');
    for (const receiver of [a, b]) await receiver.hears('message', room, 'last');
    const wanted = [...numbers, 'last'].map((i) => ['message', room, i]);
    assert.deepEqual(a.take(), [['joined', room, a.id], ...wanted]);
    assert.deepEqual(b.take(), [['joined', room, b.id], ['otherjoin', room, a.id], ...wanted]);
  });

  it('comes back after a cut, under a new id, and the old one is gone once', async () => {
    const room = newRoom();
    const road = await stage.cluster.openProxy();
    const b = await stage.open().arrive();
    const a = await stage.open('', { url: road.url }).arrive();
    await b.do('join', room);
    await a.do('join', room);
    const told = [['joined', room, b.id], ['otherjoin', room, a.id]];
    const isPolling = a.socket.io.engine.transport.name === 'polling';
    for (let i = 0; i < 2; i++) {
      const old = a.id;
      const left = next(a.socket, 'disconnect');
      const back = next(a.socket, 'connect');
      // Between two polls there is nothing to be cut that the gateway could notice.
      if (isPolling) await until('a poll that has reached the gateway', () => road.waiting > 1000);
      road.cut();
      await left;
      await b.hears('bye', room, old);
      road.mend();
      await back;
      await a.arrive();
      assert.notEqual(a.id, old);
      assert.deepEqual((await a.do('join', room)).others, [b.id]);
      await a.do('message', room, `after ${old}`);
      await b.hears('message', room, `after ${old}`);
      told.push(['bye', room, old], ['otherjoin', room, a.id], ['message', room, `after ${old}`]);
    }
    assert.deepEqual(b.take(), told);
    a.close();
  });
});
