import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NotSeatedError } from '../src/index.js';
import { Refusal, snapshot, until } from './gateway.js';
import { next, record, setUp } from './support.js';

/** @import { FakeGateway } from './gateway.js' */
/** @import { TestContext } from 'node:test' */

/** @param {number} position */
const place = (position, count = 2, reason = 'full') => ({ position, count, reason });

/**
 * The reply to a join without a seat.
 *
 * @param {number} position
 */
const queued = (position, self = 's1') => snapshot({ self, peers: [], seq: 7, waiting: place(position) });

/** What a seat comes with. */
const seated = (self = 's1') => ({ type: 'seated', ...snapshot({ self, seq: 12 }) });

/**
 * A client that waits.
 *
 * @param {TestContext} t
 * @param {import('../src/index.js').SignalboxOptions} [options]
 */
async function waits(t, options) {
  const { gateway, client } = await setUp(t);
  gateway.welcome = { resume: 'token', grace: 30_000 };
  gateway.handlers.join = (_, { number }) => queued(2, `s${number}`);
  const me = client(options);
  await me.connect();
  const waiting = me.wait('lobby', { state: { mic: true }, capacity: 4 });
  await next(waiting, 'position');
  return { gateway, me, waiting };
}

test('join waits for the seat, and tells the place', async (t) => {
  const { gateway, client } = await setUp(t);
  gateway.handlers.join = () => queued(2);
  const me = client();
  await me.connect();
  /** @type {object[]} */
  const places = [];
  const seat = me.join('lobby', { wait: true, state: { mic: true }, onPosition: (now) => places.push(now) });
  await until(() => places.length === 1);
  assert.deepEqual({ ...gateway.of('join')[0], id: 0 }, { id: 0, type: 'join', room: 'lobby', state: { mic: true }, wait: true });
  // In one turn: what follows the snapshot is the room's.
  gateway.latest.send(
    { type: 'waiting', room: 'lobby', ...place(1) }, seated(),
    { seq: 13, type: 'message', room: 'lobby', from: 'ada', data: 'welcome' },
  );
  const room = await seat;
  const told = record(room, 'message');
  await until(() => told.length === 1);
  assert.deepEqual(places, [place(2), place(1)]);
  assert.deepEqual([room.self.id, room.seq, room.peers.size, me.rooms.get('lobby') === room], ['s1', 13, 2, true]);
});

test('a room with a free seat is joined at once', async (t) => {
  const { client } = await setUp(t);
  const me = client();
  await me.connect();
  const waiting = me.wait('lobby');
  assert.equal((await waiting.room).self.id, 's1');
  assert.deepEqual([waiting.ended, waiting.position], [true, undefined]);
});

test('the places can be gone through', async (t) => {
  await t.test('until there is a seat', async (t) => {
    const { gateway, waiting } = await waits(t);
    /** @type {number[]} */
    const positions = [];
    for await (const { position } of waiting) {
      positions.push(position);
      gateway.latest.send(position === 1 ? seated() : { type: 'waiting', room: 'lobby', ...place(position - 1) });
    }
    assert.deepEqual(positions, [2, 1]);
    assert.equal((await waiting.room).name, 'lobby');
  });

  await t.test('until there is none to come', async (t) => {
    const { gateway, waiting } = await waits(t);
    await assert.rejects(async () => {
      for await (const _ of waiting) gateway.latest.send({ type: 'closed', room: 'lobby', reason: 'denied', by: 'ada' });
    }, { code: 'denied' });
  });
});

test('the wait ends', async (t) => {
  for (const code of ['denied', 'closed', 'expired']) {
    await t.test(code, async (t) => {
      const { gateway, waiting } = await waits(t);
      gateway.latest.send({ type: 'closed', room: 'lobby', reason: code, by: 'ada' });
      await assert.rejects(waiting.room, (error) => error instanceof NotSeatedError && error.code === code && error.by === 'ada');
      assert.equal(gateway.of('leave').length, 0);
    });
  }

  await t.test('with the client', async (t) => {
    const { me, waiting } = await waits(t);
    me.close();
    await assert.rejects(waiting.room, { code: 'closed' });
  });

  await t.test('with a queue that is full', async (t) => {
    const { gateway, client } = await setUp(t);
    gateway.handlers.join = () => new Refusal('room_full');
    const me = client();
    await me.connect();
    await assert.rejects(me.join('lobby', { wait: true }), { code: 'room_full' });
  });
});

test('the place is given up', async (t) => {
  await t.test('by leave', async (t) => {
    const { gateway, waiting } = await waits(t);
    await waiting.leave();
    await assert.rejects(waiting.room, { code: 'left' });
    assert.deepEqual(gateway.of('leave').map(({ room }) => room), ['lobby']);
    await waiting.leave();
    assert.equal(gateway.of('leave').length, 1);
  });

  await t.test('by a signal, and a seat that comes meanwhile is nobody\'s', async (t) => {
    const { gateway, client } = await setUp(t);
    gateway.handlers.join = () => queued(1);
    const me = client();
    await me.connect();
    const controller = new AbortController();
    const waiting = me.wait('lobby', { signal: controller.signal });
    await next(waiting, 'position');
    controller.abort(new Error('enough'));
    gateway.latest.send(seated());
    await assert.rejects(waiting.room, { message: 'enough' });
    await until(() => gateway.of('leave').length === 1);
    assert.equal(me.rooms.size, 0);
  });

  await t.test('before it is known', async (t) => {
    const { gateway, client } = await setUp(t);
    gateway.handlers.join = () => undefined;
    const me = client();
    await me.connect();
    const waiting = me.wait('lobby');
    await until(() => gateway.of('join').length === 1);
    await waiting.leave();
    assert.equal(gateway.of('leave').length, 0);
    gateway.latest.send({ re: gateway.of('join')[0].id, ok: queued(1) });
    await until(() => gateway.of('leave').length === 1);
    await assert.rejects(me.join('lobby', { wait: true, signal: AbortSignal.abort(new Error('no')) }), { message: 'no' });
    assert.equal(gateway.of('join').length, 1);
  });

  await t.test('only when nobody waits for it any more', async (t) => {
    const { gateway, me, waiting } = await waits(t);
    const other = me.wait('lobby');
    await next(other, 'position');
    await waiting.leave();
    assert.equal(gateway.of('leave').length, 0);
    gateway.latest.send(seated());
    assert.equal((await other.room).self.id, 's1');
  });
});

test('a join that is not to wait gets no place', async (t) => {
  await t.test('and leaves alone the one that there is', async (t) => {
    const { gateway, me, waiting } = await waits(t);
    await assert.rejects(me.join('lobby'), { code: 'room_full' });
    assert.equal(gateway.of('leave').length, 0);
    gateway.latest.send(seated());
    await waiting.room;
  });

  await t.test('nor keeps one that is not known', async (t) => {
    const { gateway, client } = await setUp(t);
    gateway.handlers.join = () => snapshot({ peers: [], waiting: place(1, 1, 'moderated') });
    const me = client();
    await me.connect();
    await assert.rejects(me.join('lobby'), { code: 'room_locked' });
    await until(() => gateway.of('leave').length === 1);
  });
});

test('after a lost connection', async (t) => {
  /**
   * @param {FakeGateway} gateway
   * @param {string} result
   * @param {...object} events
   */
  const resumes = (gateway, result, ...events) => {
    const { hello } = gateway.handlers;
    gateway.handlers.hello = (request, connection) => {
      const welcome = hello(request, connection);
      connection.send({ re: request.id, ok: { ...welcome, session: 's1', resumed: true, rooms: { lobby: { result } } } }, ...events);
      return undefined;
    };
    gateway.latest.socket.terminate();
  };

  await t.test('one waits on', async (t) => {
    const { gateway, waiting } = await waits(t);
    resumes(gateway, 'waiting', { type: 'waiting', room: 'lobby', ...place(1, 1) });
    await next(waiting, 'position');
    assert.equal(waiting.position, 1);
    assert.deepEqual(gateway.of('hello')[1].rooms, { lobby: { epoch: 'e1', seq: 7 } });
    assert.equal(gateway.of('join').length, 1);
    gateway.latest.send(seated());
    await waiting.room;
  });

  await t.test('the seat may have come meanwhile', async (t) => {
    const { gateway, waiting } = await waits(t);
    resumes(gateway, 'resync', { type: 'resync', ...snapshot({ seq: 20 }) });
    assert.equal((await waiting.room).seq, 20);
    assert.equal(gateway.of('join').length, 1);
  });

  await t.test('a place that is gone is asked for again, as it was', async (t) => {
    const { gateway, waiting } = await waits(t);
    gateway.handlers.join = () => queued(2);
    resumes(gateway, 'gone');
    await next(waiting, 'position');
    const [first, second] = gateway.of('join').map(({ id: _, ...join }) => join);
    assert.deepEqual(second, first);
    gateway.latest.send(seated());
    await waiting.room;
  });

  await t.test('and so it is in another session, in which one\'s own old place may fill the queue for a while', async (t) => {
    const { gateway, waiting } = await waits(t);
    let asked = 0;
    gateway.handlers.join = () => ((asked += 1) < 2 ? new Refusal('room_full') : snapshot({ self: 's2' }));
    gateway.latest.socket.terminate();
    assert.equal((await waiting.room).self.id, 's2');
    assert.equal(asked, 2);
  });

  await t.test('a place that nobody gives again is lost', async (t) => {
    const { gateway, waiting } = await waits(t);
    gateway.handlers.join = () => new Refusal('forbidden');
    gateway.latest.socket.terminate();
    await assert.rejects(waiting.room, { code: 'forbidden' });
  });

  await t.test('a place that was given up meanwhile is given up at the gateway', async (t) => {
    const { gateway, me, waiting } = await waits(t, { backoff: { min: 50, max: 50 } });
    gateway.latest.socket.terminate();
    await next(me, 'state');
    const left = waiting.leave();
    resumes(gateway, 'waiting', { type: 'waiting', room: 'lobby', ...place(1, 1) });
    await left;
    assert.deepEqual(gateway.of('hello')[1].rooms, { lobby: { epoch: 'e1', seq: 7 } }, 'so that leave finds it');
    assert.equal(gateway.of('leave').length, 1);
    await assert.rejects(waiting.room, { code: 'left' });
  });
});
