import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Refusal, until } from './gateway.js';
import { NEVER, joined, next, record, setUp, texts } from './support.js';

test('a lost connection is invisible', async (t) => {
  await t.test('the session goes on where it was, and nothing is lost or told twice', async (t) => {
    const { gateway, sessions, me, room, cut } = await joined(t);
    const messages = record(room, 'message');
    const others = record(room, 'status', 'resync', 'closed', 'peer-left', 'peer-joined');
    const states = record(me, 'state');
    sessions.say('lobby', 'before');
    await until(() => messages.length === 1);
    await cut();
    assert.equal(room.status, 'rejoining');
    sessions.say('lobby', 'missed');
    sessions.tell('lobby', { to: 's1', event: { type: 'message', from: 'ada', data: 'for me' } });
    sessions.tell('lobby', { but: 's1', event: { type: 'message', from: 'ada', data: 'for others' } });
    await until(() => me.state === 'connected');
    sessions.say('lobby', 'after');
    await until(() => messages.length === 4);
    assert.deepEqual(texts(messages), ['before', 'missed', 'for me', 'after']);
    const [, hello] = gateway.of('hello');
    assert.deepEqual(hello, { id: 3, type: 'hello', resume: 'token s1 1', rooms: { lobby: { epoch: 'e1', seq: 7 } }, attempt: 2, client: 'sdk-js/0.1.0' });
    assert.equal(gateway.of('join').length, 1);
    assert.equal(me.session, 's1');
    assert.equal(me.rooms.get('lobby'), room);
    assert.deepEqual(others, [['status', { status: 'rejoining' }], ['status', { status: 'joined' }]]);
    assert.deepEqual(states.map(([, { state, resumed }]) => [state, resumed]), [['reconnecting', undefined], ['connected', true]]);
  });

  await t.test('what comes again is dropped', async (t) => {
    const { gateway, room, cut, me } = await joined(t);
    const messages = record(room, 'message');
    const message = (/** @type {number} */ seq) => ({ seq, type: 'message', room: 'lobby', from: 'ada', data: seq });
    gateway.latest.send(message(7), message(9));
    await until(() => messages.length === 2);
    await cut();
    await until(() => me.state === 'connected');
    gateway.latest.send(message(7), message(8), message(9), message(10));
    await until(() => messages.length === 3);
    assert.deepEqual(texts(messages), [7, 9, 10]);
  });

  await t.test('the attempt rises, also with those that fail', async (t) => {
    const { gateway, me } = await joined(t, { openTimeout: 400 });
    let refusals = 3;
    gateway.server.options.verifyClient = () => refusals-- <= 0;
    const { hello } = gateway.handlers;
    let silence = 1;
    gateway.handlers.hello = (request, connection) => (silence-- > 0 ? undefined : hello(request, connection));
    gateway.latest.socket.terminate();
    await until(() => gateway.of('hello').length === 3 && me.state === 'connected');
    assert.deepEqual(gateway.of('hello').map(({ attempt }) => attempt), [1, 5, 6]);
    assert.equal(await gateway.connections[1].closed, 4000, 'with 1000 the client would leave for good');
    gateway.latest.socket.terminate();
    await until(() => gateway.of('hello').length === 4);
    assert.equal(gateway.of('hello')[3].resume, 'token s1 6', 'each welcome brings a new token');
  });

  await t.test('an answer that was lost is asked for again with the old token', async (t) => {
    const { gateway, me, room, sessions, cut } = await joined(t);
    const messages = record(room, 'message');
    // The hello arrives, the welcome does not.
    gateway.cutAt.add(gateway.steps + 2);
    await cut();
    sessions.say('lobby', 'missed');
    await until(() => gateway.of('hello').length === 3 && me.state === 'connected');
    assert.deepEqual(gateway.of('hello').slice(1).map(({ resume, attempt }) => [resume, attempt]), [['token s1 1', 2], ['token s1 1', 3]]);
    await until(() => messages.length === 1);
  });

  await t.test('a gateway that does not keep sessions gets a new one', async (t) => {
    const { gateway, client } = await setUp(t);
    const me = client();
    await me.connect();
    const room = await me.join('lobby');
    const states = record(me, 'state');
    gateway.latest.socket.terminate();
    const { newSeat } = await next(room, 'resync');
    assert.equal(newSeat, true);
    assert.deepEqual(gateway.of('hello').map(({ resume, attempt }) => [resume, attempt]), [[undefined, 1], [undefined, 2]]);
    assert.deepEqual(states.at(-1), ['state', { state: 'connected', resumed: false }]);
  });
});

test('requests without a reply', async (t) => {
  await t.test('are sent again with their old ids, before new ones', async (t) => {
    const { gateway, me, room, cut } = await joined(t);
    const { publish } = gateway.handlers;
    gateway.handlers.publish = () => undefined;
    const lost = ['a', 'b', 'c'].map((data) => room.publish(data));
    await until(() => gateway.of('publish').length === 3);
    gateway.handlers.publish = publish;
    await cut();
    const later = [room.publish('d'), room.setState({ hand: true })];
    assert.deepEqual(await Promise.all([...lost, ...later]), [7, 8, 9, 10, 11]);
    assert.equal(me.state, 'connected');
    assert.deepEqual(gateway.connections[0].requests.map(({ id, type }) => [id, type]), [[1, 'hello'], [2, 'join'], [3, 'publish'], [4, 'publish'], [5, 'publish']]);
    assert.deepEqual(gateway.connections[1].requests.map(({ id, type, data }) => [id, type, data]), [
      [6, 'hello', undefined], [3, 'publish', 'a'], [4, 'publish', 'b'], [5, 'publish', 'c'], [7, 'publish', 'd'], [8, 'state', undefined],
    ]);
  });

  await t.test('that took effect are answered, and not carried out again', async (t) => {
    const { gateway, sessions, room, cut } = await joined(t);
    const messages = record(room, 'message');
    const replies = [
      room.publish('once', { echo: true }), room.setState({ hand: true }), room.update({ locked: true }),
      room.control('mute', { kind: 'audio', to: 'ada' }),
    ];
    // All of them arrive, no reply does.
    const { latest } = gateway;
    latest.send = (...sent) => void assert.ok(sent);
    await until(() => latest.requests.length === 6);
    await cut();
    assert.deepEqual(await Promise.all(replies), [7, 8, 2, undefined]);
    assert.equal(sessions.repeats, 4);
    assert.deepEqual([room.version, room.locked, room.seq], [2, true, 10]);
    assert.deepEqual(room.self.state, { mic: true, hand: true });
    assert.deepEqual(room.peers.get('ada')?.state, { mic: true, mutedAudio: true });
    assert.deepEqual(texts(messages), ['once']);
  });

  await t.test('whose outcome nobody knows say so', async (t) => {
    const { gateway, room, cut } = await joined(t);
    gateway.handlers.publish = (_, { number }) => (number === 1 ? undefined : new Refusal('outcome_unknown'));
    const reply = assert.rejects(room.publish('?'), { name: 'SignalboxError', code: 'outcome_unknown', retryable: false });
    await until(() => gateway.of('publish').length === 1);
    await cut();
    await reply;
  });

  await t.test('whose seat was lost after the resume, too', async (t) => {
    const { gateway, me, room, cut } = await joined(t);
    gateway.handlers.publish = (_, { number }) => (number === 1 ? undefined : new Refusal('not_member'));
    const first = assert.rejects(room.publish('?'), { code: 'outcome_unknown', retryable: false });
    await until(() => gateway.of('publish').length === 1);
    await cut();
    await first;
    await until(() => me.state === 'connected');
    await assert.rejects(room.publish('new'), { code: 'not_member' });
  });

  await t.test('of which Redis may have lost what it knew, too', async (t) => {
    for (const [result, code] of /** @type {const} */ ([['resync', 'outcome_unknown'], ['replayed', 'peer_gone']])) {
      const { gateway, me, room, sessions, cut } = await joined(t);
      gateway.handlers.publish = (_, { number }) => (number === 1 ? undefined : new Refusal('peer_gone'));
      const first = assert.rejects(room.publish('?'), { code });
      await until(() => gateway.of('publish').length === 1);
      if (result === 'resync') sessions.forget('lobby', 'e2');
      await cut();
      await first;
      await until(() => me.state === 'connected');
      await assert.rejects(room.publish('new'), { code: 'peer_gone' });
    }
  });

  await t.test('join and leave, too', async (t) => {
    const { gateway, sessions, me, room, cut } = await joined(t);
    const kitchen = await me.join('kitchen');
    const { join, leave } = gateway.handlers;
    gateway.handlers.join = (request, connection) => void join(request, connection);
    gateway.handlers.leave = () => undefined;
    const joining = me.join('cellar');
    const leaving = kitchen.leave();
    await until(() => gateway.of('leave').length === 1 && gateway.of('join').length === 3);
    Object.assign(gateway.handlers, { join, leave });
    await cut();
    const cellar = await joining;
    await leaving;
    assert.equal(cellar.self.id, 's1');
    assert.equal(sessions.hall('kitchen').seats.size, 0);
    assert.deepEqual(Object.keys(gateway.of('hello')[1].rooms), ['kitchen', 'lobby'], 'to leave a room one needs its seat');
    assert.deepEqual(gateway.latest.requests.map(({ id, type }) => [id, type]).slice(1), [[4, 'join'], [5, 'leave']]);
    assert.equal(room.status, 'joined');
  });

  await t.test('are given up in time, and not sent again then', async (t) => {
    const { gateway, me, room, cut } = await joined(t);
    gateway.handlers.publish = () => undefined;
    await assert.rejects(room.publish('?', { timeout: 10 }), { code: 'timeout', retryable: true });
    await cut();
    await until(() => me.state === 'connected');
    await room.setState({});
    assert.equal(gateway.of('publish').length, 1);
  });

  await t.test('volatile ones fail', async (t) => {
    const { gateway, room, cut } = await joined(t);
    const { publish } = gateway.handlers;
    gateway.handlers.publish = () => undefined;
    const lost = assert.rejects(room.publish('1', { volatile: true }), { code: 'disconnected', retryable: true });
    await until(() => gateway.of('publish').length === 1);
    gateway.handlers.publish = publish;
    await cut();
    await lost;
    await assert.rejects(room.publish('2', { volatile: true }), { code: 'disconnected', retryable: true });
    await room.publish('3');
    assert.deepEqual(gateway.of('publish').map(({ data }) => data), ['1', '3']);
  });

  await t.test('come before one that is made at the moment of the loss', async (t) => {
    const { gateway, room, cut } = await joined(t);
    const { publish } = gateway.handlers;
    gateway.handlers.publish = () => undefined;
    const first = room.publish('first');
    const second = room.publish('lost', { volatile: true }).catch(() => room.publish('second'));
    await until(() => gateway.of('publish').length === 2);
    gateway.handlers.publish = publish;
    await cut();
    await Promise.all([first, second]);
    assert.deepEqual(gateway.latest.of('publish').map(({ id, data }) => [id, data]), [[3, 'first'], [6, 'second']]);
  });

  await t.test('keep the limits', async (t) => {
    const { gateway, client } = await setUp(t);
    gateway.keepSessions();
    gateway.welcome = { limits: { inFlight: 2 } };
    const me = client();
    await me.connect();
    const room = await me.join('lobby');
    const { publish } = gateway.handlers;
    gateway.handlers.publish = () => undefined;
    const replies = ['a', 'b', 'c', 'd'].map((data) => room.publish(data));
    await until(() => gateway.of('publish').length === 2);
    gateway.handlers.publish = publish;
    gateway.latest.socket.terminate();
    assert.deepEqual(await Promise.all(replies), [7, 8, 9, 10]);
    assert.deepEqual(gateway.latest.of('publish').map(({ id, data }) => [id, data]), [[3, 'a'], [4, 'b'], [6, 'c'], [7, 'd']]);
  });
});

test('while there is no connection', async (t) => {
  await t.test('requests wait as long as they may', async (t) => {
    const { me, room, cut } = await joined(t, { backoff: NEVER });
    await cut();
    await assert.rejects(room.publish('?', { timeout: 10 }), { code: 'timeout' });
    await assert.rejects(room.publish('?', { signal: AbortSignal.timeout(10) }), { name: 'TimeoutError' });
    await assert.rejects(me.peers('lobby', { timeout: 10 }), { code: 'timeout' });
    const waiting = assert.rejects(room.publish('?'), { code: 'closed' });
    me.close();
    await waiting;
  });

  await t.test('a room that is left is left when the session goes on', async (t) => {
    const { gateway, sessions, me, room, cut } = await joined(t);
    await cut();
    const said = room.publish('last words');
    const leaving = room.leave();
    assert.equal(room.status, 'closed');
    assert.equal(me.rooms.size, 0);
    await leaving;
    await said;
    assert.equal(sessions.hall('lobby').seats.size, 0);
    assert.deepEqual(gateway.of('hello')[1].rooms, { lobby: { epoch: 'e1', seq: 6 } });
    assert.deepEqual(gateway.latest.requests.map(({ type }) => type), ['hello', 'publish', 'leave']);
  });
});

test('a session that is no more', async (t) => {
  await t.test('is followed by another on the same connection, with a fresh token', async (t) => {
    let count = 0;
    const { gateway, sessions, me, room, cut } = await joined(t, { getToken: async () => `jwt-${++count}` });
    const { publish } = gateway.handlers;
    gateway.handlers.publish = () => undefined;
    const sent = assert.rejects(room.publish('sent'), { code: 'disconnected', retryable: true });
    await until(() => gateway.of('publish').length === 1);
    gateway.handlers.publish = publish;
    const resyncs = record(room, 'resync');
    const states = record(me, 'state');
    sessions.end();
    await cut();
    const waiting = room.publish('waiting');
    await sent;
    await waiting;
    assert.equal(gateway.connections.length, 2);
    assert.deepEqual(gateway.latest.requests.map(({ type, resume, token, attempt, data }) => [type, resume ?? token ?? data, attempt]), [
      ['hello', 'token s1 1', 2], ['hello', 'jwt-2', 1], ['join', undefined, undefined], ['publish', 'waiting', undefined],
    ]);
    assert.deepEqual([room.self.id, me.session, room.status], ['s2', 's2', 'joined']);
    assert.deepEqual(resyncs.map(([, { newSeat }]) => newSeat), [true]);
    assert.deepEqual(states.map(([, { state, resumed }]) => [state, resumed]), [['reconnecting', undefined], ['connected', false]]);
    // And that one is resumed again.
    await cut();
    await until(() => me.state === 'connected');
    assert.deepEqual([gateway.latest.requests[0].resume, gateway.latest.requests[0].attempt], ['token s2 1', 2]);
  });

  await t.test('a join whose session is lost is sent again in the next', async (t) => {
    const { gateway, sessions, me, cut } = await joined(t);
    const { join } = gateway.handlers;
    gateway.handlers.join = () => undefined;
    const joining = me.join('kitchen');
    await until(() => gateway.of('join').length === 2);
    gateway.handlers.join = join;
    sessions.end();
    await cut();
    assert.equal((await joining).self.id, 's2');
  });

  await t.test('what was asked of a room that is left meanwhile fails', async (t) => {
    const { gateway, sessions, me, room, cut } = await joined(t);
    sessions.end();
    await cut();
    const said = assert.rejects(room.publish('?'), { code: 'disconnected' });
    await room.leave();
    await said;
    await me.peers('elsewhere');
    assert.deepEqual(gateway.latest.requests.map(({ type }) => type), ['hello', 'hello', 'peers']);
  });

  await t.test('any other refusal for good is followed by another session on the next connection', async (t) => {
    const { gateway, me, cut } = await joined(t, { getToken: () => 'jwt' });
    const { hello } = gateway.handlers;
    gateway.handlers.hello = (request, connection) => {
      if (request.resume === undefined) return hello(request, connection);
      setTimeout(() => connection.socket.close(4001));
      return new Refusal('unauthorized');
    };
    await cut();
    await until(() => me.state === 'connected');
    assert.deepEqual(gateway.of('hello').map(({ resume, token, attempt }) => [resume ?? token, attempt]), [['jwt', 1], ['token s1 1', 2], ['jwt', 1]]);
  });

  await t.test('a refusal for now is not: the session is resumed later', async (t) => {
    const { gateway, me, cut } = await joined(t);
    const { hello } = gateway.handlers;
    let refusals = 2;
    gateway.handlers.hello = (request, connection) =>
      (refusals-- > 0 ? new Refusal('unavailable', { retryable: true, retryAfter: 30 }) : hello(request, connection));
    await cut();
    const at = performance.now();
    await until(() => me.state === 'connected');
    assert.deepEqual(gateway.of('hello').slice(1).map(({ resume, attempt }) => [resume, attempt]), [['token s1 1', 2], ['token s1 1', 3], ['token s1 1', 4]]);
    assert.ok(performance.now() - at >= 55, 'retryAfter is not kept');
    assert.equal(me.session, 's1');
  });

  await t.test('a token that comes too late for the connection is for the next one', async (t) => {
    let isLate = false;
    /** @type {() => void} */
    let release = () => {};
    const { gateway, sessions, me, cut } = await joined(t, {
      getToken: () => (isLate ? new Promise((resolve) => (release = () => resolve('late'))) : 'jwt'),
    });
    isLate = true;
    sessions.end();
    await cut();
    await until(() => gateway.of('hello').length === 2);
    gateway.latest.socket.close(4002);
    await gateway.latest.closed;
    isLate = false;
    release();
    await until(() => me.state === 'connected');
    assert.deepEqual([gateway.latest.requests[0].token, gateway.latest.requests[0].attempt], ['jwt', 1]);
  });
});

test('a seat that is no more', async (t) => {
  await t.test('is taken again, and is another one to the others', async (t) => {
    const { gateway, sessions, me, room, cut } = await joined(t);
    const { publish } = gateway.handlers;
    gateway.handlers.publish = () => undefined;
    const sent = assert.rejects(room.publish('sent'), { code: 'outcome_unknown', retryable: false });
    await until(() => gateway.of('publish').length === 1);
    gateway.handlers.publish = publish;
    const kitchen = await me.join('kitchen');
    sessions.hall('lobby').seats.clear();
    const resyncs = record(room, 'resync');
    const messages = record(room, 'message');
    await cut();
    const waiting = room.publish('waiting', { echo: true });
    await sent;
    await waiting;
    assert.deepEqual(resyncs.map(([, { newSeat }]) => newSeat), [true]);
    assert.equal(room.self.id, 's1');
    assert.deepEqual(gateway.latest.requests.map(({ type, room }) => [type, room]), [['hello', undefined], ['join', 'lobby'], ['publish', 'lobby']]);
    assert.deepEqual(texts(messages), ['waiting']);
    assert.equal(kitchen.status, 'joined');
  });

  await t.test('is the same one if it was there all the same', async (t) => {
    const { gateway, sessions, room, cut } = await joined(t);
    const { seats } = sessions.hall('lobby');
    const [[id, seat]] = seats;
    seats.clear();
    const { join } = gateway.handlers;
    gateway.handlers.join = (request, connection) => {
      seats.set(id, seat);
      return join(request, connection);
    };
    await cut();
    sessions.say('lobby', 'missed');
    assert.equal((await next(room, 'resync')).newSeat, false);
    await cut();
    await until(() => gateway.of('hello').length === 3);
    assert.deepEqual(gateway.of('hello')[2].rooms, { lobby: { epoch: 'e1', seq: 7 } });
  });

  await t.test('is lost if the room is full', async (t) => {
    const { gateway, sessions, room, cut } = await joined(t);
    sessions.hall('lobby').seats.clear();
    gateway.handlers.join = () => new Refusal('room_full');
    const closed = next(room, 'closed');
    await cut();
    const waiting = assert.rejects(room.publish('?'), { code: 'closed' });
    const { reason, error } = await closed;
    assert.deepEqual([reason, error.code], ['lost', 'room_full']);
    await waiting;
  });

  await t.test('is asked for again, by one who lost the answer', async (t) => {
    const { gateway, sessions, room, me, cut } = await joined(t);
    sessions.hall('lobby').seats.clear();
    const { join } = gateway.handlers;
    gateway.handlers.join = (request, connection) => {
      const ok = join(request, connection);
      return connection.number > 2 ? ok : connection.socket.terminate();
    };
    await cut();
    await next(room, 'resync');
    assert.equal(gateway.of('hello')[2].rooms, undefined, 'there is no seat to speak of');
    assert.equal(gateway.of('join').length, 3);
    assert.equal(me.session, 's1');
    // The position is that of the new seat.
    const messages = record(room, 'message');
    sessions.say('lobby', 'hi');
    await until(() => messages.length === 1);
  });
});

test('a snapshot stands for what is not known any more', async (t) => {
  for (const epoch of ['e1', 'e2']) {
    await t.test(`in epoch ${epoch}`, async (t) => {
      const { sessions, room, cut, me } = await joined(t);
      await cut();
      sessions.say('lobby', 'lost');
      sessions.forget('lobby', epoch);
      const told = record(room, 'resync', 'status', 'message');
      const said = room.publish('mine');
      await said;
      sessions.say('lobby', 'next');
      await until(() => told.length === 3);
      assert.deepEqual(told.map(([type, { newSeat, status, data }]) => [type, newSeat ?? status ?? data]), [['status', 'joined'], ['resync', false], ['message', 'next']]);
      assert.equal(room.epoch, epoch);
      assert.equal(me.session, 's1');
    });
  }
});

test('4006: the session goes on elsewhere, which is final', async (t) => {
  const { gateway, me, room } = await joined(t);
  gateway.handlers.publish = () => undefined;
  const sent = assert.rejects(room.publish('?'), { code: 'disconnected' });
  await until(() => gateway.of('publish').length === 1);
  const closings = record(room, 'closed');
  const states = record(me, 'state');
  gateway.latest.socket.close(4006, 'taken over');
  await until(() => me.state === 'closed');
  await sent;
  assert.deepEqual(closings.map(([, { reason, error }]) => [reason, error.code, error.closeCode]), [['lost', 'taken_over', 4006]]);
  assert.deepEqual(states.map(([, { state, error }]) => [state, error.code]), [['closed', 'taken_over']]);
  await assert.rejects(me.join('lobby'), { code: 'closed' });
  await me.connect();
  assert.deepEqual(gateway.of('hello').map(({ resume, attempt }) => [resume, attempt]), [[undefined, 1], [undefined, 1]]);
});

test('4005 with getToken begins a new session', async (t) => {
  let count = 0;
  const { gateway, me } = await joined(t, { getToken: () => `jwt-${++count}` });
  gateway.latest.socket.close(4005);
  await until(() => gateway.of('hello').length === 2 && me.state === 'connected');
  assert.deepEqual([gateway.of('hello')[1].token, gateway.of('hello')[1].attempt], ['jwt-2', 1]);
});
