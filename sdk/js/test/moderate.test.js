import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConflictError } from '../src/index.js';
import { Refusal, snapshot, until } from './gateway.js';
import { next, record, setUp } from './support.js';

/** @param {import('node:test').TestContext} t */
async function joined(t) {
  const { gateway, client } = await setUp(t);
  gateway.handlers.room = () => ({ seq: 30, version: 2 });
  const me = client();
  await me.connect();
  const room = await me.join('lobby', { state: { mic: true } });
  await new Promise((resolve) => setTimeout(resolve, 0));
  /** @param {...object} events */
  const tell = (...events) => gateway.latest.send(...events.map((event) => ({ room: 'lobby', ...event })));
  return { gateway, me, room, tell };
}

test('who is nobody does not become everybody', async (t) => {
  const { gateway, room } = await joined(t);
  const nobody = /** @type {any} */ (room.peers.get('gone'));
  for (const refused of [room.kick(nobody), room.mute(nobody, 'audio'), room.deny(nobody), room.admit(''), room.setPresenter(nobody)]) {
    await assert.rejects(refused, TypeError);
  }
  assert.deepEqual([gateway.of('control').length, gateway.of('room').length], [0, 0]);
});

test('who waits is told, and gone when it is seated', async (t) => {
  const { room, tell } = await joined(t);
  const told = record(room, 'waiter-joined', 'waiter-left', 'peer-joined');
  tell(
    { seq: 10, type: 'waiting-peer', reason: 'moderated', peer: { id: 'w1', user: 'eve', name: 'Eve' } },
    { seq: 11, type: 'waiting-peer', reason: 'full', peer: { id: 'w2', user: 'dan' } },
    { seq: 12, type: 'joined-peer', peer: { id: 'w1', order: 3, user: 'eve' } },
    { seq: 13, type: 'gone-peer', peer: 'w2', reason: 'denied' },
    { seq: 14, type: 'gone-peer', peer: 'w2', reason: 'denied' },
  );
  await until(() => room.seq === 14);
  assert.deepEqual(told.map(([type, { waiter, peer, reason }]) => [type, waiter?.id ?? peer.id, reason]), [
    ['waiter-joined', 'w1', undefined], ['waiter-joined', 'w2', undefined],
    ['waiter-left', 'w1', 'seated'], ['peer-joined', 'w1', undefined], ['waiter-left', 'w2', 'denied'],
  ]);
  assert.equal(room.queue.size, 0);
});

test('a change that comes second', async (t) => {
  await t.test('is made again, for the room as it is then', async (t) => {
    const { gateway, room, tell } = await joined(t);
    gateway.handlers.room = ({ version }) => (version < 4 ? new Refusal('conflict', { version: 4 }) : { seq: 40, version: 5 });
    const asked = /** @type {(number | undefined)[]} */ ([]);
    const version = room.edit(({ properties: { n = 0 } }) => {
      asked.push(n);
      return { properties: { n: n + 1 } };
    });
    await until(() => gateway.of('room').length === 1);
    tell({ seq: 20, type: 'room', version: 3, by: 'ada', properties: { n: 5 } });
    await until(() => gateway.of('room').length === 2);
    tell({ seq: 21, type: 'room', version: 4, by: 'ada', properties: { n: 7 } });
    assert.equal(await version, 5);
    assert.deepEqual(asked, [0, 5, 7]);
    assert.equal(await room.edit(() => undefined), 5);
    assert.deepEqual(gateway.of('room').map(({ version, properties }) => [version, properties.n]), [[1, 1], [3, 6], [4, 8]]);
  });

  await t.test('is given up when what has changed is not told in time, by signal, and with the seat', async (t) => {
    const { gateway, room, tell } = await joined(t);
    gateway.handlers.room = () => new Refusal('conflict', { version: 2 });
    await assert.rejects(room.lock({ timeout: 20 }), (error) => error instanceof ConflictError && error.version === 2);
    const controller = new AbortController();
    const unlocked = room.unlock({ signal: controller.signal });
    await until(() => gateway.of('room').length === 2);
    await room.report({ peer: 'ada', outcome: 'connected' });
    controller.abort(new Error('never mind'));
    await assert.rejects(unlocked, { message: 'never mind' });
    const changed = room.setCapacity(3);
    await until(() => gateway.of('room').length === 3);
    await room.report({ peer: 'ada', outcome: 'connected' });
    tell({ seq: 30, type: 'closed', reason: 'kicked', by: 'ada' });
    await assert.rejects(changed, { code: 'closed' });
  });
});

test('of several who want to present, one does', async (t) => {
  const { gateway, room, tell } = await joined(t);
  gateway.handlers.room = () => new Refusal('conflict', { version: 2 });
  const presents = room.setPresenter(room.self, { from: null });
  await until(() => gateway.of('room').length === 1);
  tell({ seq: 20, type: 'room', version: 2, by: 'ada', presenter: 'ada' });
  await assert.rejects(presents, (error) => error instanceof ConflictError && error.code === 'conflict');
  assert.equal(gateway.of('room').length, 1);
  gateway.handlers.room = () => ({ seq: 21, version: 3 });
  assert.equal(await room.setPresenter(null, { from: 'ada' }), 3);
  assert.deepEqual([room.presenter, gateway.of('room')[1].presenter], [null, null]);
});

test('a rotation that begins now is known when the gateway says when that was', async (t) => {
  const { room, tell } = await joined(t);
  await room.update({ spotlight: { interval: 1_000, order: ['ada'] } });
  assert.equal(room.spotlight, null);
  tell({ seq: 30, type: 'room', version: 2, by: 's1', spotlight: { start: 7, interval: 1_000, order: ['ada'] } });
  const { start } = await until(() => room.spotlight);
  assert.equal(start, 7);
});

test('what is kept comes page by page', async (t) => {
  /**
   * @param {number[]} seqs
   * @param {string} [epoch]
   */
  const page = (seqs, epoch = 'e1') => ({ room: 'lobby', topic: 'chat', seq: 50, epoch, messages: seqs.map((seq) => ({ seq, time: 1, data: seq })) });

  await t.test('to the oldest', async (t) => {
    const { gateway, room } = await joined(t);
    const kept = [1, 4, 5, 9];
    gateway.handlers.history = ({ before = Infinity, limit }) => page(kept.filter((seq) => seq < before).slice(-limit));
    /** @param {{limit?: number, before?: number}} options */
    const seqs = async (options) => {
      const found = [];
      for await (const { messages } of room.history('chat', options)) found.push(messages.map(({ seq }) => seq));
      return found;
    };
    assert.deepEqual(await seqs({}), [[1, 4, 5, 9]]);
    assert.deepEqual(await seqs({ limit: 2 }), [[5, 9], [1, 4]]);
    assert.deepEqual(await seqs({ limit: 3, before: 9 }), [[1, 4, 5]]);
    kept.length = 0;
    assert.deepEqual(await seqs({}), [[]]);
  });

  await t.test('of one life of the room', async (t) => {
    const { gateway, room } = await joined(t);
    gateway.handlers.history = ({ before }) => (before ? page([1], 'e2') : page([8, 9]));
    const found = [];
    for await (const { messages } of room.history('chat', { limit: 2 })) found.push(messages.length);
    assert.deepEqual(found, [2]);
  });

  await t.test('and fails where it is refused', async (t) => {
    const { gateway, room } = await joined(t);
    gateway.handlers.history = () => new Refusal('not_member');
    await assert.rejects(room.history('chat').next(), { code: 'not_member' });
  });
});

test('the app sends one to another room', async (t) => {
  const move = { seq: 20, type: 'control', action: 'move', to: 's1', target: 'kitchen' };

  await t.test('which is joined before the other one is left', async (t) => {
    const { gateway, me, room, tell } = await joined(t);
    tell({ seq: 10, type: 'control', action: 'mute', kind: 'audio', to: 's1', by: 'ada' });
    const told = record(room, 'move', 'closed');
    const moved = next(room, 'moved');
    tell(move);
    const { room: there } = await moved;
    assert.equal(there, me.rooms.get('kitchen'));
    await until(() => gateway.of('leave').length === 1);
    assert.deepEqual(told, [['move', { target: 'kitchen' }], ['closed', { reason: 'moved' }]]);
    assert.deepEqual(gateway.requests.slice(2).map(({ type, room, state }) => [type, room, state]), [
      ['join', 'kitchen', { mic: true }], ['leave', 'lobby', undefined],
    ]);
  });

  await t.test('which may have no seat', async (t) => {
    const { gateway, room, tell } = await joined(t);
    gateway.handlers.join = () => new Refusal('room_full');
    const failed = next(room, 'move-failed');
    tell(move);
    const { target, error } = await failed;
    assert.deepEqual([target, error.code, room.status], ['kitchen', 'room_full', 'joined']);
  });

  await t.test('unless the page says no', async (t) => {
    const { gateway, room, tell } = await joined(t);
    room.addEventListener('move', (event) => event.preventDefault());
    tell(move, { seq: 21, type: 'control', action: 'move', to: 's1', target: 'lobby' });
    await room.report({ peer: 'ada', outcome: 'connected' });
    assert.deepEqual([gateway.of('join').length, room.status], [1, 'joined']);
  });

  await t.test('which is left again by one who has left meanwhile', async (t) => {
    const { gateway, room, tell } = await joined(t);
    gateway.handlers.join = () => undefined;
    tell(move);
    await until(() => gateway.of('join').length === 2);
    await room.leave();
    gateway.latest.send({ re: gateway.of('join')[1].id, ok: snapshot({ room: 'kitchen' }) });
    await until(() => gateway.of('leave').length === 2);
    assert.deepEqual(gateway.of('leave').map(({ room }) => room), ['lobby', 'kitchen']);
  });
});
