import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Refusal, until } from './gateway.js';
import { NEVER, joined, next, record, setUp, texts } from './support.js';

const goaway = (retryAfter = 0) => ({ type: 'goaway', retryAfter, deadline: 5_000 });

test('a draining gateway is left', async (t) => {
  await t.test('when the next connection has taken over, which nobody notices', async (t) => {
    const { gateway, sessions, me, room } = await joined(t);
    const told = record(room, 'status', 'resync', 'closed');
    const states = record(me, 'state');
    const messages = record(room, 'message');
    const { hello, publish } = gateway.handlers;
    /** @type {() => void} */
    let welcome = () => {};
    gateway.handlers.hello = (request, connection) => {
      welcome = () => {
        const ok = hello(request, connection);
        if (ok) connection.send({ re: request.id, ok });
      };
    };
    const at = performance.now();
    gateway.latest.send(goaway(60));
    const hellos = await until(() => gateway.of('hello')[1] && gateway.of('hello'));
    assert.ok(performance.now() - at >= 55, 'left too early');
    assert.deepEqual([hellos[1].resume, hellos[1].attempt, hellos[1].rooms], ['token s1 1', 2, { lobby: { epoch: 'e1', seq: 6 } }]);

    // Until then the old connection serves: what it tells will come again, what it does not answer is asked again.
    assert.equal(await room.publish('meanwhile'), 7);
    sessions.say('lobby', 'one');
    await until(() => messages.length === 1);
    gateway.handlers.publish = () => undefined;
    const pending = room.publish('pending');
    await until(() => gateway.connections[0].of('publish').length === 2);
    gateway.handlers.publish = publish;
    welcome();
    assert.equal(await pending, 9);
    sessions.say('lobby', 'two');
    await until(() => messages.length === 2);

    assert.deepEqual(texts(messages), ['one', 'two']);
    assert.equal(await gateway.connections[0].closed, 4006);
    assert.deepEqual(gateway.connections[1].requests.map(({ id, type }) => [id, type]), [[3, 'hello'], [5, 'publish']]);
    assert.deepEqual(told, []);
    assert.deepEqual(states, [['state', { state: 'connected', resumed: true }]]);
    assert.equal(gateway.connections.length, 2);
  });

  for (const code of [4006, 4100]) {
    await t.test(`also when the old connection ends before the welcome, with ${code}`, async (t) => {
      const { gateway, room, me } = await joined(t);
      const told = record(room, 'status');
      const states = record(me, 'state');
      const { hello } = gateway.handlers;
      gateway.handlers.hello = (request, connection) => {
        gateway.connections[0].socket.close(code);
        gateway.connections[0].closed.then(() => setTimeout(() => connection.send({ re: request.id, ok: hello(request, connection) }), 20));
      };
      gateway.latest.send(goaway());
      await until(() => gateway.of('hello').length === 2);
      const said = room.publish('meanwhile');
      await said;
      assert.deepEqual(told, []);
      assert.deepEqual(states.map(([, { state }]) => state), ['connected']);
    });
  }

  await t.test('with another try if the first one fails, as long as the old connection serves', async (t) => {
    const { gateway, room, me } = await joined(t);
    const told = record(room, 'status');
    const states = record(me, 'state');
    const { hello } = gateway.handlers;
    let failures = 3;
    gateway.handlers.hello = (request, connection) => {
      failures -= 1;
      if (failures === 2) return connection.socket.terminate();
      if (failures === 1) return new Refusal('unavailable', { retryable: true });
      if (failures === 0) return void setTimeout(() => connection.socket.close(4099));
      return hello(request, connection);
    };
    gateway.latest.send(goaway());
    await until(() => gateway.of('hello').length === 5);
    await room.publish('meanwhile');
    await until(() => states.length === 1);
    assert.deepEqual(gateway.of('hello').map(({ attempt }) => attempt), [1, 2, 3, 4, 5]);
    assert.deepEqual(told, []);
    assert.deepEqual(states, [['state', { state: 'connected', resumed: true }]]);
  });

  await t.test('at its deadline, if there is nowhere else to go', async (t) => {
    const { gateway, room, me } = await joined(t);
    const told = record(room, 'status');
    const states = record(me, 'state');
    const { hello } = gateway.handlers;
    gateway.handlers.hello = (_, { socket }) => socket.terminate();
    gateway.connections[0].send(goaway());
    await until(() => gateway.connections.length > 2);
    gateway.connections[0].socket.close(4100);
    await until(() => room.status === 'rejoining' && me.state === 'reconnecting');
    assert.ok(states[0][1].error.retryable);
    gateway.handlers.hello = hello;
    await until(() => me.state === 'connected');
    assert.deepEqual(told, [['status', { status: 'rejoining' }], ['status', { status: 'joined' }]]);
  });

  await t.test('and closed by the client if it hangs', async (t) => {
    const { gateway, me } = await joined(t);
    const { hello } = gateway.handlers;
    gateway.handlers.hello = (request, connection) => {
      const { socket } = gateway.connections[0];
      const { close } = socket;
      socket.close = () => {};
      const ok = hello(request, connection);
      Object.assign(socket, { close });
      return ok;
    };
    t.mock.timers.enable({ apis: ['setTimeout'] });
    gateway.latest.send(goaway());
    const turn = () => new Promise((resolve) => setImmediate(resolve));
    const moved = next(me, 'state');
    while (gateway.connections.length < 2) {
      await turn();
      t.mock.timers.tick(1);
    }
    assert.equal((await moved).resumed, true);
    assert.equal(gateway.connections[0].isOpen, true);
    t.mock.timers.tick(5_000);
    assert.equal(await gateway.connections[0].closed, 4000, 'with 1000 the client would leave for good');
  });

  await t.test('a session that is refused on the next gateway is given up before the next one joins', async (t) => {
    const { gateway, sessions, me, room } = await joined(t);
    sessions.byToken.delete('token s1 1');
    const left = gateway.latest.closed;
    gateway.latest.send(goaway());
    const { newSeat } = await next(room, 'resync');
    assert.equal(newSeat, true);
    assert.equal(await left, 1000);
    assert.equal(me.session, 's2');
  });

  await t.test('with the seats, if sessions cannot be resumed', async (t) => {
    const { gateway, client } = await setUp(t);
    const me = client();
    await me.connect();
    const room = await me.join('lobby');
    const left = gateway.latest.closed;
    gateway.latest.send(goaway());
    assert.equal(await left, 1000);
    await next(room, 'resync');
    assert.equal(gateway.of('hello')[1].resume, undefined);
  });
});

/**
 * Stands in for what a browser's window and its like tell; Node has none.
 *
 * @param {import('node:test').TestContext} t
 */
function browser(t) {
  const target = /** @type {any} */ (globalThis);
  const page = Object.assign(new EventTarget(), { connection: new EventTarget(), document: Object.assign(new EventTarget(), { visibilityState: 'visible' }) });
  const { addEventListener, document } = target;
  const navigator = Object.getOwnPropertyDescriptor(target, 'navigator');
  target.addEventListener = page.addEventListener.bind(page);
  target.document = page.document;
  Object.defineProperty(target, 'navigator', { configurable: true, value: { connection: page.connection } });
  t.after(() => {
    Object.assign(target, { addEventListener, document });
    if (navigator) Object.defineProperty(target, 'navigator', navigator);
    else delete target.navigator;
  });
  return page;
}

/** @param {boolean} persisted */
const pageEvent = (/** @type {string} */ type, persisted) => Object.assign(new Event(type), { persisted });

test('when the network or the page has changed', async (t) => {
  /** @type {[string, (page: ReturnType<typeof browser>) => void][]} */
  const signs = [
    ['online', (page) => page.dispatchEvent(new Event('online'))],
    ['visible', ({ document }) => document.dispatchEvent(new Event('visibilitychange'))],
    ['another network', ({ connection }) => connection.dispatchEvent(new Event('change'))],
    ['back from the cache', (page) => page.dispatchEvent(pageEvent('pageshow', true))],
  ];
  for (const [name, happens] of signs) {
    await t.test(`${name}: the next attempt is made at once`, async (t) => {
      const page = browser(t);
      const { gateway, me, cut } = await joined(t, { backoff: NEVER });
      await cut();
      happens(page);
      await until(() => me.state === 'connected');
      assert.equal(me.session, 's1');
      // With a connection, it asks for a sign of life, once.
      happens(page);
      happens(page);
      await until(() => gateway.of('ping').length === 1);
      await me.peers('lobby');
      assert.equal(gateway.of('ping').length, 1);
    });
  }

  await t.test('a connection that turns out to be lost is made again at once', async (t) => {
    const page = browser(t);
    const { gateway, me } = await joined(t, { backoff: NEVER });
    page.dispatchEvent(pageEvent('pageshow', true));
    gateway.latest.socket.terminate();
    await until(() => me.state === 'connected' && gateway.connections.length === 2);
    gateway.latest.socket.terminate();
    assert.equal((await next(me, 'state')).delay, 3_600_000, 'but only once');
  });

  await t.test('an attempt that is under way and fails is followed by another at once', async (t) => {
    const page = browser(t);
    const { gateway, me, cut } = await joined(t, { backoff: NEVER });
    const { hello } = gateway.handlers;
    gateway.handlers.hello = () => undefined;
    await cut();
    page.dispatchEvent(new Event('online'));
    await until(() => gateway.of('hello').length === 2);
    page.dispatchEvent(new Event('online'));
    gateway.handlers.hello = hello;
    gateway.latest.socket.terminate();
    await until(() => me.state === 'connected');
  });

  await t.test('hidden pages and first shows are no signs', async (t) => {
    const page = browser(t);
    const { gateway, me } = await joined(t);
    page.document.visibilityState = 'hidden';
    page.document.dispatchEvent(new Event('visibilitychange'));
    page.dispatchEvent(pageEvent('pageshow', false));
    page.dispatchEvent(pageEvent('pagehide', true));
    await me.peers('lobby');
    assert.equal(gateway.of('ping').length, 0);
    assert.equal(me.state, 'connected');
  });

  await t.test('a page that is thrown away gives its seats up', async (t) => {
    const page = browser(t);
    const { gateway, me } = await joined(t);
    page.dispatchEvent(pageEvent('pagehide', false));
    assert.equal(me.state, 'closed');
    assert.equal(await gateway.latest.closed, 1000);
  });
});

/**
 * Says and does much while connections are cut at some steps, and looks at what becomes of it.
 *
 * @param {import('node:test').TestContext} t
 * @param {number[]} cutAt
 * @returns {Promise<number>} how many steps there were
 */
async function story(t, cutAt) {
  const { gateway, client } = await setUp(t);
  const sessions = gateway.keepSessions();
  gateway.cutAt = new Set(cutAt);
  const me = client({ backoff: { min: 1, max: 2 } });
  await me.connect();
  const room = await me.join('lobby', { state: { n: 0 } });
  /** @type {string[]} */
  const heard = [];
  room.addEventListener('message', ({ detail }) => heard.push(detail.data));
  room.addEventListener('resync', ({ detail }) => assert.ok(detail.newSeat, 'what is known must not be told by a snapshot'));
  const replies = [];
  for (let n = 1; n <= 4; n += 1) {
    replies.push(room.publish(`mine ${n}`, { echo: true }), room.setState({ n }));
    sessions.say('lobby', `hers ${n}`);
    if (n % 2 === 0) await Promise.all(replies);
  }
  const all = () => sessions.hall('lobby').log.flatMap(({ event }) => ('data' in event ? [String(event.data)] : []));
  await until(() => heard.length >= 8, `eight messages after a cut at ${cutAt}`);
  await room.leave();
  await me.peers('lobby');
  const context = `cut at ${cutAt}`;
  assert.deepEqual(heard, all(), context);
  assert.deepEqual(heard.filter((text) => text.startsWith('mine')), ['mine 1', 'mine 2', 'mine 3', 'mine 4'], context);
  assert.deepEqual(room.self.state, { n: 4 }, context);
  assert.equal(sessions.hall('lobby').log.filter(({ event }) => 'state' in event).length, 4, context);
  const numbers = await Promise.all(replies);
  assert.deepEqual(numbers, [...numbers].sort((a, b) => a - b), context);
  for (const { requests } of gateway.connections) {
    const ids = requests.filter(({ type }) => type !== 'hello').map(({ id }) => id);
    assert.deepEqual(ids, [...new Set(ids)].sort((a, b) => a - b), `the ids of a connection must rise, ${context}`);
  }
  assert.equal(sessions.hall('lobby').seats.size, 0, context);
  me.close();
  return gateway.steps;
}

test('whatever is cut, everything happens once and is told once', async (t) => {
  const steps = await story(t, []);
  assert.ok(steps > 30, `only ${steps} steps`);
  await t.test('once', async (t) => {
    for (let at = 1; at <= steps; at += 1) await story(t, [at]);
  });
  await t.test('and again while it comes back', async (t) => {
    for (let at = 1; at <= steps; at += 1) await story(t, [at, at + 1 + (at % 5), at + 7, at + 11]);
  });
});
