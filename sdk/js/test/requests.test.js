import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Refusal, snapshot, until } from './gateway.js';
import { next, record, setUp } from './support.js';

test('every request has the next id, and its own reply', async (t) => {
  const { gateway, client } = await setUp(t);
  const held = /** @type {number[]} */ ([]);
  gateway.handlers.publish = ({ id }) => void held.push(id);
  const ada = client();
  await ada.connect();
  const room = await ada.join('lobby');
  const replies = [room.publish('a'), room.publish('b'), room.publish('c')];
  await until(() => held.length === 3);
  assert.deepEqual(held, [3, 4, 5]);
  for (const id of [5, 3, 4]) gateway.latest.send({ re: id, ok: { seq: id * 10 } });
  assert.deepEqual(await Promise.all(replies), [30, 40, 50]);
});

test('a refusal is a SignalboxError with what the reply says', async (t) => {
  const { gateway, client } = await setUp(t);
  gateway.handlers.publish = () => new Refusal('rate_limited', { retryable: true, retryAfter: 70, message: 'slow down' });
  gateway.handlers.room = () => new Refusal('conflict', { version: 9 });
  const ada = client();
  await ada.connect();
  const room = await ada.join('lobby');
  await assert.rejects(room.publish(1), { name: 'SignalboxError', code: 'rate_limited', retryable: true, retryAfter: 70, message: 'slow down' });
  await assert.rejects(room.update({ locked: true }), { code: 'conflict', retryable: false, version: 9 });
});

test('what each method sends', async (t) => {
  const { gateway, client } = await setUp(t);
  gateway.handlers.control = () => ({ seq: 6, affected: 2 });
  gateway.handlers.room = () => ({ seq: 7, version: 2 });
  gateway.handlers.peers = ({ room }) => ({ room, count: 2, capacity: 8 });
  const ada = client();
  await ada.connect();
  const room = await ada.join('lobby');
  const peer = room.peers.get('ada') ?? assert.fail();
  assert.equal(await room.control('mute', { kind: 'audio', to: peer }), 2);
  await room.control('kick');
  assert.equal(await room.update({ capacity: 4, presenter: null }), 2);
  await room.publish({ text: 'hi' }, { topic: 'chat', echo: true, volatile: true });
  await room.signal(peer, { candidate: { candidate: '' } });
  await room.report({ peer: 'ada', outcome: 'failed', reason: 'ice' });
  assert.deepEqual(await ada.peers('other'), { room: 'other', count: 2, capacity: 8 });
  assert.deepEqual(gateway.requests.slice(2).map(({ id: _, ...request }) => request), [
    { type: 'control', room: 'lobby', action: 'mute', kind: 'audio', to: 'ada' },
    { type: 'control', room: 'lobby', action: 'kick' },
    { type: 'room', room: 'lobby', version: 1, capacity: 4, presenter: null },
    { type: 'publish', room: 'lobby', topic: 'chat', data: { text: 'hi' }, echo: true, volatile: true },
    { type: 'signal', room: 'lobby', to: 'ada', data: { candidate: { candidate: '' } } },
    { type: 'report', room: 'lobby', peer: 'ada', outcome: 'failed', reason: 'ice' },
    { type: 'peers', room: 'other' },
  ]);
});

test('a lost connection', async (t) => {
  await t.test('fails what waits for a reply, retryable', async (t) => {
    const { gateway, client } = await setUp(t);
    gateway.handlers.publish = (_, { socket }) => socket.terminate();
    const ada = client();
    await ada.connect();
    const room = await ada.join('lobby');
    await assert.rejects(room.publish('?'), { code: 'disconnected', retryable: true });
    await until(() => room.status === 'joined');
    assert.equal(gateway.of('publish').length, 1, 'a publish must not be sent twice');
  });

  await t.test('sends a join again', async (t) => {
    const { gateway, client } = await setUp(t);
    const join = gateway.handlers.join;
    gateway.handlers.join = (request, connection) => (connection.number === 1 ? connection.socket.terminate() : join(request, connection));
    const ada = client();
    await ada.connect();
    const room = await ada.join('lobby');
    assert.equal(room.self.id, 's2');
    assert.equal(gateway.of('join').length, 2);
  });

  await t.test('lets a join wait for the next one', async (t) => {
    const { gateway, client } = await setUp(t);
    const ada = client();
    await ada.connect();
    gateway.latest.socket.terminate();
    assert.equal((await next(ada, 'state')).state, 'reconnecting');
    assert.equal((await ada.join('lobby')).self.id, 's2');
  });
});

test('giving up', async (t) => {
  await t.test('by time-out', async (t) => {
    const { gateway, client } = await setUp(t);
    gateway.handlers.publish = () => undefined;
    const ada = client();
    await ada.connect();
    const room = await ada.join('lobby');
    await assert.rejects(room.publish('?', { timeout: 10 }), { code: 'timeout', retryable: true });
  });

  await t.test('by signal, before and after it was sent', async (t) => {
    const { gateway, client } = await setUp(t);
    gateway.handlers.publish = () => undefined;
    const ada = client();
    await ada.connect();
    const room = await ada.join('lobby');
    await assert.rejects(room.publish('?', { signal: AbortSignal.abort(new Error('no')) }), { message: 'no' });
    assert.equal(gateway.of('publish').length, 0);
    const controller = new AbortController();
    const reply = room.publish('?', { signal: controller.signal });
    await until(() => gateway.of('publish').length === 1);
    controller.abort(new Error('never mind'));
    await assert.rejects(reply, { message: 'never mind' });
  });

  await t.test('a join that takes effect afterwards is taken back', async (t) => {
    const { gateway, client } = await setUp(t);
    gateway.handlers.join = () => undefined;
    const ada = client();
    await ada.connect();
    await assert.rejects(ada.join('lobby', { timeout: 20 }), { code: 'timeout' });
    gateway.latest.send({ re: gateway.of('join')[0].id, ok: snapshot() });
    await until(() => gateway.of('leave').length === 1);
    assert.equal(ada.rooms.size, 0);
  });

  await t.test('a join without a connection', async (t) => {
    const { gateway, client } = await setUp(t);
    const ada = client({ backoff: { min: 3_600_000, max: 3_600_000, random: () => 1 } });
    await ada.connect();
    gateway.latest.socket.terminate();
    await until(() => ada.state === 'reconnecting');
    await assert.rejects(ada.join('lobby', { timeout: 10 }), { code: 'timeout' });
    await assert.rejects(ada.join('lobby', { signal: AbortSignal.timeout(10) }), { name: 'TimeoutError' });
  });
});

test('the gateway\'s limits are kept', async (t) => {
  await t.test('requests in flight', async (t) => {
    const { gateway, client } = await setUp(t);
    gateway.welcome = { limits: { inFlight: 2 } };
    const held = /** @type {number[]} */ ([]);
    gateway.handlers.publish = ({ id }) => void held.push(id);
    const ada = client();
    await ada.connect();
    const room = await ada.join('lobby');
    const replies = ['a', 'b', 'c', 'd'].map((text) => room.publish(text));
    for (let n = 0; n < 4; n += 1) {
      await until(() => held.length === Math.min(4, n + 2));
      gateway.latest.send({ re: held[n], ok: { seq: n } });
    }
    assert.deepEqual(await Promise.all(replies), [0, 1, 2, 3]);
    assert.deepEqual(gateway.of('publish').map(({ data }) => data), ['a', 'b', 'c', 'd']);
  });

  await t.test('requests a second', async (t) => {
    const { gateway, client } = await setUp(t);
    gateway.welcome = { limits: { requestsPerSecond: 100, requestsBurst: 5 } };
    const ada = client();
    await ada.connect();
    const room = await ada.join('lobby');
    const at = performance.now();
    await Promise.all(Array.from({ length: 25 }, (_, n) => room.publish(n)));
    assert.ok(performance.now() - at >= 200, '25 requests with a burst of 5 at 100 a second take at least 200 ms');
    assert.deepEqual(gateway.of('publish').map(({ data }) => data), Array.from({ length: 25 }, (_, n) => n));
  });

  await t.test('message size, which would close the connection for good', async (t) => {
    const { gateway, client } = await setUp(t);
    gateway.welcome = { limits: { messageBytes: 1000 } };
    const ada = client();
    await ada.connect();
    const room = await ada.join('lobby');
    await assert.rejects(room.publish('x'.repeat(1000)), { code: 'too_large', retryable: false });
    await assert.rejects(room.publish('é'.repeat(480)), { code: 'too_large' });
    await room.publish('x'.repeat(900));
    assert.equal(gateway.of('publish').length, 1);
  });
});

test('leaving', async (t) => {
  await t.test('closes the room at once', async (t) => {
    const { gateway, client } = await setUp(t);
    const ada = client();
    await ada.connect();
    const room = await ada.join('lobby');
    const leaving = room.leave();
    assert.equal(room.status, 'closed');
    await leaving;
    assert.equal(gateway.of('leave').length, 1);
    await assert.rejects(room.publish('?'), { code: 'closed' });
    await room.leave();
    assert.equal(gateway.of('leave').length, 1);
  });

  await t.test('close gives every seat up with the connection', async (t) => {
    const { gateway, client } = await setUp(t);
    const ada = client();
    await ada.connect();
    const rooms = await Promise.all([ada.join('lobby'), ada.join('kitchen')]);
    const closings = rooms.map((room) => record(room, 'closed'));
    const waiting = assert.rejects(rooms[0].publish('?'), { code: 'disconnected' });
    const closed = new Promise((resolve) => gateway.latest.socket.on('close', resolve));
    ada.close();
    assert.equal(await closed, 1000);
    await waiting;
    assert.deepEqual(closings, [[['closed', { reason: 'left' }]], [['closed', { reason: 'left' }]]]);
  });
});
