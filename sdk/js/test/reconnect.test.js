import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Refusal, snapshot, until } from './gateway.js';
import { next, record, setUp } from './support.js';

test('close codes', async (t) => {
  for (const code of [1001, 1011, 4100, 4101, 4102, 4103, 4199]) {
    await t.test(`${code}: comes back`, async (t) => {
      const { gateway, client } = await setUp(t);
      const ada = client();
      await ada.connect();
      const states = record(ada, 'state');
      gateway.latest.socket.close(code);
      await until(() => ada.state === 'connected' && gateway.of('hello').length === 2);
      assert.deepEqual(states.map(([, { state }]) => state), ['reconnecting', 'connected']);
      assert.equal(states[0][1].error.closeCode, code);
    });
  }
  for (const code of [1002, 1003, 1007, 1008, 1009, 4001, 4002, 4003, 4004, 4005, 4006, 4099]) {
    await t.test(`${code}: stays away`, async (t) => {
      const { gateway, client } = await setUp(t);
      const ada = client();
      await ada.connect();
      const room = await ada.join('lobby');
      const closings = record(room, 'closed');
      gateway.latest.socket.close(code);
      await until(() => ada.state === 'closed');
      assert.equal(closings[0][1].reason, 'lost');
      assert.equal(closings[0][1].error.closeCode, code);
      assert.equal(room.status, 'closed');
    });
  }
  await t.test('4005 with getToken: comes back with another token', async (t) => {
    const { gateway, client } = await setUp(t);
    let count = 0;
    const ada = client({ getToken: () => `jwt-${++count}` });
    await ada.connect();
    gateway.latest.socket.close(4005);
    await until(() => gateway.of('hello').length === 2);
    assert.equal(gateway.of('hello')[1].token, 'jwt-2');
  });
});

test('rooms are joined again with the state that one has, and tell it', async (t) => {
  const { gateway, client } = await setUp(t);
  const ada = client();
  await ada.connect();
  const room = await ada.join('lobby', { state: { mic: true }, capacity: 2 });
  gateway.handlers.join = ({ room, state }, { number }) => snapshot({ room, self: `s${number}`, epoch: 'e9', seq: 1, state });
  await room.setState({ mic: false, hand: true });
  const events = record(room, 'status', 'resync', 'closed');
  gateway.latest.socket.terminate();
  await until(() => room.status === 'joined' && gateway.of('join').length === 2);
  assert.deepEqual(gateway.of('join')[1], { id: 5, type: 'join', room: 'lobby', state: { mic: false, hand: true }, capacity: 2 });
  assert.deepEqual(events.map(([type, { status, newSeat }]) => [type, status ?? newSeat]), [['status', 'rejoining'], ['status', 'joined'], ['resync', true]]);
  assert.equal(room.self.id, 's2');
  assert.equal(room.epoch, 'e9');
  assert.equal(ada.rooms.get('lobby'), room);

  // Another life of the room counts from 1 again.
  const messages = record(room, 'message');
  gateway.latest.send({ seq: 2, type: 'message', room: 'lobby', from: 'ada', data: 'hi' });
  await until(() => messages.length === 1);
});

test('what the next seat is told follows its snapshot, also if it comes before', async (t) => {
  const { gateway, client } = await setUp(t);
  const ada = client();
  await ada.connect();
  const room = await ada.join('lobby');
  await new Promise((resolve) => setTimeout(resolve, 0));
  gateway.handlers.join = ({ id }, connection) => {
    connection.send(
      { seq: 20, type: 'message', room: 'lobby', from: 'ada', data: 'in the snapshot' },
      { seq: 21, type: 'message', room: 'lobby', from: 'ada', data: 'early' },
      { re: id, ok: snapshot({ self: 's2', epoch: 'e2', seq: 20 }) },
      { seq: 22, type: 'message', room: 'lobby', from: 'ada', data: 'at once' },
    );
  };
  const told = record(room, 'resync', 'message');
  gateway.latest.socket.terminate();
  await until(() => told.length === 3);
  assert.deepEqual(told.map(([type, { data }]) => [type, data]), [['resync', undefined], ['message', 'early'], ['message', 'at once']]);
});

test('a moderator\'s mute is not claimed as one\'s own state', async (t) => {
  const { gateway, client } = await setUp(t);
  const ada = client();
  await ada.connect();
  const room = await ada.join('lobby', { state: { mic: true } });
  gateway.latest.send({ seq: 6, type: 'control', room: 'lobby', action: 'mute', kind: 'audio', to: 's1', by: 'ada' });
  await until(() => room.self.state.mutedAudio === true);
  gateway.latest.socket.terminate();
  await until(() => gateway.of('join').length === 2);
  assert.deepEqual(gateway.of('join')[1].state, { mic: true });
});

test('one\'s own old seat may fill the room for a while', async (t) => {
  const { gateway, client } = await setUp(t);
  const ada = client();
  await ada.connect();
  const room = await ada.join('lobby');
  const join = gateway.handlers.join;
  let refusals = 2;
  gateway.handlers.join = (request, connection) => (refusals-- > 0 ? new Refusal('room_full') : join(request, connection));
  gateway.latest.socket.terminate();
  await until(() => room.status === 'joined' && gateway.of('join').length === 4);
});

test('a seat that is refused is lost, the others stay', async (t) => {
  const { gateway, client } = await setUp(t);
  const ada = client();
  await ada.connect();
  const [lobby, kitchen] = await Promise.all([ada.join('lobby'), ada.join('kitchen')]);
  const join = gateway.handlers.join;
  gateway.handlers.join = (request, connection) => (request.room === 'lobby' ? new Refusal('forbidden') : join(request, connection));
  const closings = record(lobby, 'closed');
  gateway.latest.socket.terminate();
  await until(() => lobby.status === 'closed' && kitchen.status === 'joined');
  assert.equal(closings[0][1].reason, 'lost');
  assert.equal(closings[0][1].error.code, 'forbidden');
  assert.deepEqual([...ada.rooms.keys()], ['kitchen']);
});

test('a room that is left while the connection is away stays left', async (t) => {
  const { gateway, client } = await setUp(t);
  const ada = client();
  await ada.connect();
  const room = await ada.join('lobby');
  gateway.latest.socket.terminate();
  assert.deepEqual(await next(room, 'status'), { status: 'rejoining' });
  const lost = assert.rejects(room.publish('lost'), { code: 'disconnected', retryable: true });
  await room.leave();
  await lost;
  await until(() => ada.state === 'connected');
  await ada.peers('other').catch(() => {});
  assert.equal(gateway.of('join').length, 1);
});

test('a room that is left while it is joined again is left at the gateway, too', async (t) => {
  const { gateway, client } = await setUp(t);
  const ada = client();
  await ada.connect();
  const room = await ada.join('lobby');
  gateway.handlers.join = () => undefined;
  gateway.latest.socket.terminate();
  const again = await until(() => gateway.of('join')[1]);
  await room.leave();
  gateway.latest.send({ re: again.id, ok: snapshot({ self: 's2' }) });
  await until(() => gateway.of('leave').length === 1);
  assert.equal(room.status, 'closed');
});

test('silence', async (t) => {
  await t.test('a gateway that answers no pings is left', async (t) => {
    const { gateway, client } = await setUp(t);
    gateway.welcome = { heartbeat: 20 };
    gateway.handlers.ping = () => undefined;
    await client().connect();
    await until(() => gateway.connections.length === 2);
    assert.equal(gateway.connections[0].of('ping').length, 2);
  });

  await t.test('one that does is kept', async (t) => {
    const { gateway, client } = await setUp(t);
    gateway.welcome = { heartbeat: 10 };
    await client().connect();
    await until(() => gateway.of('ping').length > 8);
    assert.equal(gateway.connections.length, 1);
  });

  await t.test('events are signs of life as well', async (t) => {
    const { gateway, client } = await setUp(t);
    gateway.welcome = { heartbeat: 10 };
    gateway.handlers.ping = (_, connection) => connection.send({ type: 'weather' });
    await client().connect();
    await until(() => gateway.of('ping').length > 8);
    assert.equal(gateway.connections.length, 1);
  });
});

test('backoff', async (t) => {
  await t.test('grows while connections are short', async (t) => {
    const { gateway, client } = await setUp(t);
    const ada = client({ backoff: { min: 1, max: 64, random: () => 1 } });
    const states = record(ada, 'state');
    gateway.handlers.hello = (_, { socket }) => socket.terminate();
    ada.connect().catch(() => {});
    await until(() => states.length > 7);
    assert.deepEqual(states.slice(1, 8).map(([, { delay }]) => delay), [1, 2, 4, 8, 16, 32, 64]);
  });

  await t.test('starts over after a healthy connection', async (t) => {
    const { gateway, client } = await setUp(t);
    const ada = client({ backoff: { min: 1, max: 64, healthy: 0, random: () => 1 } });
    const states = record(ada, 'state');
    await ada.connect();
    for (let n = 2; n < 5; n += 1) {
      gateway.latest.socket.terminate();
      await until(() => gateway.of('hello').length === n && ada.state === 'connected');
    }
    assert.deepEqual(states.filter(([, { delay }]) => delay !== undefined).map(([, { delay }]) => delay), [1, 1, 1]);
  });

  await t.test('ends at once when the network comes back', async (t) => {
    const { gateway, client } = await setUp(t);
    const network = new EventTarget();
    // A browser's window tells it; Node has none.
    const { addEventListener } = /** @type {any} */ (globalThis);
    /** @type {any} */ (globalThis).addEventListener = network.addEventListener.bind(network);
    t.after(() => (/** @type {any} */ (globalThis).addEventListener = addEventListener));
    const ada = client({ backoff: { min: 3_600_000, max: 3_600_000, random: () => 1 } });
    await ada.connect();
    gateway.latest.socket.terminate();
    await until(() => ada.state === 'reconnecting');
    network.dispatchEvent(new Event('online'));
    await until(() => ada.state === 'connected');
    assert.equal(gateway.connections.length, 2);
    // With a connection, it asks for a sign of life, and calls look for another way.
    const told = record(ada, 'network');
    network.dispatchEvent(new Event('online'));
    await until(() => gateway.of('ping').length === 1);
    assert.deepEqual(told, [['network', { online: true }]]);
  });

  await t.test('does not wait for a page that is shown again', async (t) => {
    const { gateway, client } = await setUp(t);
    const page = new EventTarget();
    const { addEventListener } = /** @type {any} */ (globalThis);
    /** @type {any} */ (globalThis).addEventListener = page.addEventListener.bind(page);
    t.after(() => (/** @type {any} */ (globalThis).addEventListener = addEventListener));
    const sessions = gateway.keepSessions();
    const ada = client({ backoff: { min: 3_600_000, max: 3_600_000, random: () => 1 } });
    await ada.connect();
    const room = await ada.join('lobby');
    const turn = (/** @type {string} */ type, persisted = true) => page.dispatchEvent(Object.assign(new Event(type), { persisted }));
    turn('pagehide');
    assert.equal(await until(() => gateway.latest.closed), 4000, 'to be resumed');
    await until(() => ada.state === 'reconnecting');
    sessions.tell('lobby', { event: { type: 'message', from: 'x', data: 'missed' } });
    const messages = record(room, 'message');
    turn('pageshow');
    await until(() => messages.length === 1);
    assert.equal(ada.state, 'connected');
    turn('pagehide', false);
    assert.equal(ada.state, 'closed', 'a page that is thrown away gives its seats up');
  });
});

test('a draining gateway is left when it asks for it', async (t) => {
  const { gateway, client } = await setUp(t);
  const ada = client();
  await ada.connect();
  const room = await ada.join('lobby');
  const told = record(ada, 'goaway');
  const at = performance.now();
  gateway.latest.send({ type: 'goaway', retryAfter: 150, deadline: 5_000 });
  await until(() => told.length === 1);
  assert.deepEqual(told[0][1], { retryAfter: 150, deadline: 5_000 });
  await room.publish('still here');
  await until(() => gateway.connections.length === 2);
  assert.ok(performance.now() - at > 140, 'left too early');
  await until(() => room.status === 'joined');
});

test('a drained gateway that closes early is not asked again before its time', async (t) => {
  const { gateway, client } = await setUp(t);
  const ada = client();
  await ada.connect();
  const states = record(ada, 'state');
  gateway.latest.send({ type: 'goaway', retryAfter: 400, deadline: 5_000 });
  gateway.latest.socket.close(4100);
  await until(() => states.length > 0);
  assert.ok(states[0][1].delay > 100, `came back after ${states[0][1].delay} ms`);
  await until(() => ada.state === 'connected');
});

test('fresh ICE servers are told', async (t) => {
  const { gateway, client } = await setUp(t);
  const ada = client();
  await ada.connect();
  const told = record(ada, 'ice');
  gateway.latest.send({ type: 'ice', iceServers: [{ urls: ['turn:t.example.org'], username: 'u', credential: 'c' }] });
  await until(() => told.length === 1);
  assert.equal(ada.iceServers[0].username, 'u');
});
