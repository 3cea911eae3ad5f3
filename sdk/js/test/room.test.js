import assert from 'node:assert/strict';
import { test } from 'node:test';
import { snapshot, until } from './gateway.js';
import { record, setUp } from './support.js';

/** @param {import('node:test').TestContext} t */
async function joined(t) {
  const { gateway, client } = await setUp(t);
  const me = client();
  await me.connect();
  const room = await me.join('lobby', { state: { mic: true } });
  // Timers of one duration fire in their order: after the room's, events are told as they come.
  await new Promise((resolve) => setTimeout(resolve, 0));
  /** Sends events and waits until the client has seen them. @param {...object} events */
  const tell = async (...events) => {
    gateway.latest.send(...events.map((event) => ({ room: 'lobby', ...event })));
    await room.report({ peer: 'ada', outcome: 'connected' });
  };
  return { gateway, me, room, tell };
}

test('the snapshot is the first state', async (t) => {
  const { room } = await joined(t);
  assert.equal(room.name, 'lobby');
  assert.equal(room.self.id, 's1');
  assert.deepEqual(room.self.state, { mic: true });
  assert.deepEqual([...room.peers.values()].map(({ id, order, name, away }) => [id, order, name, away]), [['ada', 1, 'Ada', false], ['s1', 2, 'Me', false]]);
  assert.deepEqual([room.capacity, room.locked, room.presenter, room.version, room.seq, room.epoch], [8, false, null, 1, 5, 'e1']);
  assert.equal(room.relayOnly, false);
});

test('events change the state and are told', async (t) => {
  const { gateway, room, tell } = await joined(t);
  const events = record(room, 'peer-joined', 'peer-left', 'peer-state', 'signal', 'message', 'changed', 'control');
  await tell(
    { seq: 6, type: 'joined-peer', peer: { id: 'bob', order: 3, user: 'bob', name: 'Bob' } },
    { seq: 8, type: 'state', peer: 'ada', state: { mic: null, hand: true } },
    { seq: 9, type: 'away-peer', peer: 'ada' },
    { seq: 10, type: 'back-peer', peer: 'ada' },
    { seq: 12, type: 'signal', from: 'bob', data: { x: 1 } },
    { seq: 13, type: 'message', from: 'ada', topic: 'chat', data: { text: 'hi' } },
    { seq: 14, type: 'room', version: 4, by: 'ada', locked: true, properties: { title: 'T', old: null }, presenter: 'bob' },
    { seq: 15, type: 'control', action: 'mute', kind: 'video', by: 'ada' },
    { seq: 16, type: 'left-peer', peer: 'bob', reason: 'left' },
    { seq: 17, type: 'weather', sun: true },
  );
  const ada = (/** @type {object} */ more) => ({ id: 'ada', order: 1, user: 'ada', name: 'Ada', state: { hand: true }, away: false, ...more });
  const bob = { id: 'bob', order: 3, user: 'bob', name: 'Bob', state: {}, away: false };
  const muted = { ...bob, state: { mutedVideo: true } };
  const self = { id: 's1', order: 2, user: 'u', name: 'Me', state: { mic: true, mutedVideo: true }, away: false };
  assert.deepEqual(events, [
    ['peer-joined', { peer: bob }],
    ['peer-state', { peer: ada({}), changes: { mic: null, hand: true } }],
    ['peer-state', { peer: ada({ away: true }), changes: {} }],
    ['peer-state', { peer: ada({}), changes: {} }],
    ['signal', { from: 'bob', peer: bob, data: { x: 1 }, seq: 12 }],
    ['message', { from: 'ada', peer: ada({}), topic: 'chat', data: { text: 'hi' }, volatile: false, seq: 13 }],
    ['changed', { by: 'ada', changes: { locked: true, properties: { title: 'T', old: null }, presenter: 'bob' } }],
    ['peer-state', { peer: self, changes: { mutedVideo: true } }],
    ['peer-state', { peer: muted, changes: { mutedVideo: true } }],
    ['control', { action: 'mute', kind: 'video', to: undefined, by: 'ada' }],
    ['peer-left', { peer: muted, reason: 'left', by: undefined }],
  ]);
  assert.deepEqual([...room.peers.keys()], ['ada', 's1']);
  assert.deepEqual([room.locked, room.presenter, room.version, room.seq], [true, 'bob', 4, 17]);
  assert.deepEqual(room.properties, { title: 'T' });
  assert.deepEqual(gateway.connections.length, 1);
});

test('a seat that is put back is told again, but is nobody new', async (t) => {
  const { room, tell } = await joined(t);
  const events = record(room, 'peer-joined', 'peer-state');
  const ada = { id: 'ada', order: 1, user: 'ada', name: 'Ada', state: { mic: false } };
  await tell({ seq: 6, type: 'joined-peer', peer: ada }, { seq: 7, type: 'joined-peer', peer: { ...ada, order: 5 } });
  assert.deepEqual(events.map(([type, { peer }]) => [type, peer.order, peer.state]), [['peer-state', 1, { mic: false }], ['peer-joined', 5, { mic: false }]]);
});

test('unmuting one peer', async (t) => {
  const { room, tell } = await joined(t);
  await tell(
    { seq: 6, type: 'control', action: 'mute', kind: 'audio', by: 'ada', to: 's1' },
    { seq: 7, type: 'control', action: 'unmute', kind: 'audio', by: 'ada', to: 's1' },
  );
  assert.deepEqual(room.self.state, { mic: true });
  assert.deepEqual(room.peers.get('ada')?.state, { mic: true });
});

test('one\'s own state changes with the reply, which nobody else tells', async (t) => {
  const { room } = await joined(t);
  const events = record(room, 'peer-state');
  await room.setState({ mic: null, camera: true });
  assert.deepEqual(room.self.state, { camera: true });
  assert.deepEqual(events[0][1].changes, { mic: null, camera: true });
});

test('an update is made for the version of the one before, also before its event has come', async (t) => {
  const { gateway, room, tell } = await joined(t);
  let version = 1;
  gateway.handlers.room = () => ({ seq: 10 + version, version: ++version });
  await room.update({ locked: true });
  await room.update({ capacity: 4 });
  assert.deepEqual(gateway.of('room').map(({ version }) => version), [1, 2]);
  assert.deepEqual([room.version, room.locked, room.capacity], [3, true, 4]);
  const events = record(room, 'changed');
  await tell({ seq: 11, type: 'room', version: 2, by: 's1', locked: true }, { seq: 12, type: 'room', version: 3, by: 's1', capacity: 4 });
  assert.equal(events.length, 2);
  assert.equal(room.version, 3);
});

test('a seat that is taken away closes the room', async (t) => {
  for (const closing of [{ reason: 'kicked', by: 'ada' }, { reason: 'replaced', by: undefined }, { reason: 'closed', by: 'ada', text: 'Over' }]) {
    const { me, room, tell } = await joined(t);
    const closings = record(room, 'closed');
    await tell({ seq: 6, type: 'closed', ...closing }).catch(() => {});
    await until(() => closings.length === 1);
    assert.deepEqual(closings[0][1], closing);
    assert.equal(me.rooms.size, 0);
  }
});

test('a seat that the gateway itself has closed', async (t) => {
  const { room, me, tell } = await joined(t);
  const closings = record(room, 'closed');
  await tell({ type: 'closed', reason: 'closed' }).catch(() => {});
  await until(() => closings.length === 1);
  assert.deepEqual(closings[0][1], { reason: 'closed', by: undefined });
  assert.equal(me.rooms.size, 0);
});

test('order and numbers', async (t) => {
  await t.test('what is at or below the last event is dropped', async (t) => {
    const { room, tell } = await joined(t);
    const messages = record(room, 'message');
    const message = (/** @type {number} */ seq) => ({ seq, type: 'message', from: 'ada', data: seq });
    await tell(message(4), message(5), message(6), message(9), message(9), message(7), message(10));
    assert.deepEqual(messages.map(([, { data }]) => data), [6, 9, 10]);
  });

  await t.test('with the same seat, a second snapshot has the changes of what follows below it, but not its messages', async (t) => {
    const { gateway, me, room, tell } = await joined(t);
    await tell({ seq: 6, type: 'message', from: 'ada', data: 'before' });
    const bob = { id: 'bob', order: 3, user: 'bob', name: 'Bob' };
    gateway.handlers.join = () => {
      const { peers } = snapshot();
      return snapshot({ seq: 10, peers: [...peers, bob] });
    };
    const events = record(room, 'message', 'signal', 'peer-joined', 'peer-left', 'resync');
    assert.equal(await me.join('lobby'), room);
    assert.equal(room.seq, 10);
    await tell(
      { seq: 6, type: 'message', from: 'ada', data: 'twice' },
      { seq: 7, type: 'joined-peer', peer: bob },
      { seq: 8, type: 'message', from: 'bob', data: 'below' },
      { seq: 9, type: 'signal', from: 'bob', data: { below: true } },
      { seq: 10, type: 'left-peer', peer: 'carol', reason: 'left' },
      { seq: 11, type: 'left-peer', peer: 'bob', reason: 'left' },
    );
    assert.deepEqual(
      events.map(([type, { data, newSeat, peer }]) => [type, data ?? newSeat ?? peer?.id]),
      [['resync', false], ['message', 'below'], ['signal', { below: true }], ['peer-left', 'bob']],
    );
  });

  await t.test('resync starts over, also lower', async (t) => {
    const { room, tell } = await joined(t);
    const events = record(room, 'resync', 'message');
    await tell(
      { seq: 50, type: 'message', from: 'ada', data: 'high' },
      { ...snapshot({ epoch: 'e2', seq: 3, relayOnly: true }), type: 'resync' },
      { seq: 3, type: 'message', from: 'ada', data: 'in the snapshot' },
      { seq: 4, type: 'message', from: 'ada', data: 'low' },
    );
    assert.deepEqual(events.map(([type, { data }]) => [type, data]), [['message', 'high'], ['resync', undefined], ['message', 'low']]);
    assert.deepEqual([room.epoch, room.seq, room.relayOnly], ['e2', 4, true]);
  });

  await t.test('events in the same turn as the reply to join, or before it, reach the first listeners', async (t) => {
    const { gateway, client } = await setUp(t);
    gateway.handlers.join = ({ id, room }, connection) => {
      connection.send(
        { seq: 5, type: 'message', room, from: 'ada', data: 'in the snapshot' },
        { seq: 6, type: 'message', room, from: 'ada', data: 'early' },
        { re: id, ok: snapshot({ seq: 5 }) },
        { seq: 7, type: 'message', room, from: 'ada', data: 'at once' },
      );
    };
    const me = client();
    await me.connect();
    const room = await me.join('lobby');
    const messages = record(room, 'message');
    await until(() => messages.length === 2);
    assert.deepEqual(messages.map(([, { data }]) => data), ['early', 'at once']);
  });

  await t.test('events of rooms without a seat are ignored', async (t) => {
    const { room, tell } = await joined(t);
    await tell({ room: 'elsewhere', seq: 6, type: 'message', from: 'ada', data: 1 });
    assert.equal(room.seq, 5);
  });
});

test('what is not of the protocol is ignored', async (t) => {
  const { gateway, room } = await joined(t);
  for (const text of ['not JSON', 'null', '[]', '7', '{"re":99,"ok":{}}', '{"type":7}', '{}']) gateway.latest.socket.send(text);
  gateway.latest.socket.send(Buffer.from('binary'));
  await room.publish('still here');
});
