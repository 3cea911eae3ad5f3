// The classic room events, between stock clients on two gateways, with every request on a gateway at random.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { it } from 'node:test';

import { next, until } from './clients.js';
import { token } from './cluster.js';
import { assertNumbered, assertRefused, controlOf, newRoom, withEveryClient } from './suite.js';

/** The function that the docs give to pages. */
const [, snippet] = /```js\n(function reportCall.*?)```/s.exec(readFileSync(new URL('../../docs/classic.md', import.meta.url), 'utf8'));
const reportCall = new Function(`return ${snippet}`)();

withEveryClient('room events', {}, (stage) => {
  it('make a call of two, on two gateways', async () => {
    const room = newRoom();
    const [a, b] = await stage.pair();
    if (stage.protocol === 4) assert.equal(a.id, a.socket.io.engine.id);

    assert.deepEqual(await a.ask('join', room), { ok: true, room, id: a.id, count: 1, capacity: 2, others: [] });
    assert.deepEqual(await b.ask('join', room), { ok: true, room, id: b.id, count: 2, capacity: 2, others: [a.id] });
    await a.hears('otherjoin', room, b.id);
    assertNumbered(await a.ask('message', room, { description: { type: 'offer', sdp: 'v=0' } }), room);
    await b.hears('message', room, { description: { type: 'offer', sdp: 'v=0' } });
    assertNumbered(await b.ask('message', room, 'answer'), room);
    await a.hears('message', room, 'answer');
    assert.deepEqual(await b.ask('join', room), { ok: true, room, id: b.id, count: 2, capacity: 2, others: [a.id] });
    assert.deepEqual(await b.ask('leave', room), { ok: true, room, id: b.id });
    await a.hears('bye', room, b.id);
    assertRefused(await b.ask('leave', room), 'not_member');
    await b.do('join', room);
    await b.do('message', room, 'last');
    await a.hears('message', room, 'last');

    assert.deepEqual(a.take(), [
      ['joined', room, a.id], ['otherjoin', room, b.id], ['message', room, 'answer'], ['bye', room, b.id],
      ['otherjoin', room, b.id], ['message', room, 'last'],
    ]);
    assert.deepEqual(b.take(), [
      ['joined', room, b.id], ['message', room, { description: { type: 'offer', sdp: 'v=0' } }], ['joined', room, b.id],
      ['leaved', room, b.id], ['joined', room, b.id],
    ]);
  });

  it('tell the third that the room is full, and take nothing from it', async () => {
    const room = newRoom();
    const [a, b] = await stage.pair();
    const c = await stage.open().arrive();
    await a.do('join', room);
    await b.do('join', room);

    assertRefused(await c.ask('join', room), 'room_full');
    assert.deepEqual(c.take(), [['full', room, c.id]]);
    assertRefused(await c.ask('message', room, 'from outside'), 'not_member');
    assertRefused(await c.ask('leave', room), 'not_member');
    assertRefused(await c.ask('control', room, { type: 'state', state: { mic: true } }), 'not_member');
    c.emit('message', room, 'unasked');
    c.emit('leave', room);
    assert.deepEqual(await c.ask('room-info', room), { ok: true, room, count: 2, capacity: 2 });
    assert.deepEqual(c.take(), []);

    await b.do('message', room, 'last');
    await a.hears('message', room, 'last');
    await a.do('message', room, 'last');
    await b.hears('message', room, 'last');
    assert.deepEqual(a.take(), [['joined', room, a.id], ['otherjoin', room, b.id], ['message', room, 'last']]);
    assert.deepEqual(b.take(), [['joined', room, b.id], ['message', room, 'last']]);
  });

  it('say bye once for who disconnects, and give the seat to the next', async () => {
    const room = newRoom();
    const [a, b] = await stage.pair();
    await a.do('join', room);
    await b.do('join', room);
    const { id } = b;
    b.close();
    await a.hears('bye', room, id);
    const c = await stage.open().arrive();
    assert.deepEqual((await c.do('join', room)).others, [a.id]);
    await c.do('message', room, 'last');
    await a.hears('message', room, 'last');
    assert.deepEqual(a.take(), [
      ['joined', room, a.id], ['otherjoin', room, id], ['bye', room, id], ['otherjoin', room, c.id], ['message', room, 'last'],
    ]);
  });

  it('work without callbacks, and when sent before there is a connection', async () => {
    const room = newRoom();
    const a = await stage.open().arrive();
    a.emit('join', room);
    await a.hears('joined', room, a.id);
    const b = stage.open();
    b.emit('join', room);
    b.emit('message', room, 'early');
    b.emit('leave', room);
    b.emit('join', `${room}-other`);
    await b.arrive();
    const { id } = b;
    await b.hears('joined', `${room}-other`, id);
    await a.hears('bye', room, id);
    const c = stage.open();
    c.emit('join', room);
    c.emit('message', room, 'last');
    await a.hears('message', room, 'last');
    assert.deepEqual(a.take(), [
      ['joined', room, a.id], ['otherjoin', room, id], ['message', room, 'early'], ['bye', room, id],
      ['otherjoin', room, c.id], ['message', room, 'last'],
    ]);
    assert.deepEqual(b.take(), [['joined', room, id], ['leaved', room, id], ['joined', `${room}-other`, id]]);
  });

  it('make a chat of many, in which the sender hears itself', async () => {
    const room = newRoom();
    const [a, b] = await stage.pair('/chat');
    const c = await stage.open('/chat').arrive();
    if (stage.protocol === 4) assert.equal(a.id, `/chat#${a.socket.io.engine.id}`);

    const { capacity } = await a.do('join', room);
    assert.ok(capacity > 2, `capacity ${capacity}`);
    await b.do('join', room);
    assert.deepEqual(await c.ask('join', room), { ok: true, room, id: c.id, count: 3, capacity, others: [a.id, b.id] });
    for (const sender of [a, b, c]) assertNumbered(await sender.ask('message', room, { by: sender.id }), room);
    assert.deepEqual(await b.ask('leave', room), { ok: true, room, id: b.id });
    await c.do('message', room, 'last');
    for (const peer of [a, c]) await peer.hears('message', room, c.id, 'last');

    const messages = [a, b, c].map(({ id }) => ['message', room, id, { by: id }]);
    const [joined, second, third, ...rest] = a.take();
    assert.deepEqual(joined, ['joined', room, a.id]);
    assert.equal(controlOf(second, 'joined-peer', room).peer.id, b.id);
    assert.equal(controlOf(third, 'joined-peer', room).peer.id, c.id);
    assert.deepEqual(rest, [...messages, ['bye', room, b.id], ['message', room, c.id, 'last']]);
    const heard = b.take();
    assert.equal(controlOf(heard.splice(1, 1)[0], 'joined-peer', room).peer.id, c.id);
    assert.deepEqual(heard, [['joined', room, b.id], ...messages, ['leaved', room, b.id]]);
    assert.deepEqual(c.take(), [['joined', room, c.id], ...messages, ['bye', room, b.id], ['message', room, c.id, 'last']]);
  });

  it('come before the answer to what they follow from', async () => {
    const room = newRoom();
    const [a, b] = await stage.pair();
    await a.do('join', room);
    await a.do('join', room);
    await b.do('join', room);
    const c = await stage.open().arrive();
    await c.ask('join', room);
    await a.do('leave', room);
    assert.deepEqual(c.heard.map(([name]) => name), ['full', 'answer']);
    assert.deepEqual(b.heard.slice(0, 2).map(([name]) => name), ['joined', 'answer']);
    const own = a.heard.filter(([name]) => name !== 'otherjoin').map(([name]) => name);
    assert.deepEqual(own, ['joined', 'answer', 'joined', 'answer', 'leaved', 'answer']);
  });

  it('are answered when they are wrong, and do nothing', async () => {
    const room = newRoom();
    const [a, b] = await stage.pair();
    await a.do('join', room);
    await b.do('join', room);
    await a.hears('otherjoin', room, b.id);
    a.take();
    for (const event of [
      ['join'], ['join', ''], ['join', 5], ['join', null], ['join', { room }], ['join', 'x'.repeat(129)], ['join', 'ü'.repeat(48)],
      ['leave'], ['leave', ''], ['leave', 5], ['message'], ['message', ''], ['message', 5, 'x'], ['room-info'], ['room-info', []],
      ['control', room], ['control', room, 'mute'], ['control', room, []], ['control', room, { type: 'publish', data: 1 }],
      ['control', room, { type: 'state' }], ['control', room, { type: 'state', state: 1 }], ['control', room, { action: 'dance' }],
      ['frobnicate'], ['frobnicate', room, 1], ['joined', room, a.id], ['bye', room, b.id], ['otherjoin', room, a.id],
    ]) {
      assertRefused(await a.ask(...event), 'bad_request');
      assert.deepEqual(a.take(), [], JSON.stringify(event));
    }
    a.emit('frobnicate', room);
    a.emit('join', 5);
    await a.do('message', room, 'last');
    await b.hears('message', room, 'last');
    assert.deepEqual(b.take(), [['joined', room, b.id], ['message', room, 'last']]);
    assert.deepEqual(a.take(), []);
  });

  it('take data that is missing for null, and no notice of more arguments', async () => {
    const room = newRoom();
    const [a, b] = await stage.pair();
    await a.do('join', room, 'more');
    assert.equal((await b.do('join', room)).count, 2);
    await a.do('message', room);
    await a.do('message', room, 'x', 'more', {});
    await a.do('leave', room, { more: true });
    await b.hears('bye', room, a.id);
    assert.deepEqual(b.take(), [
      ['joined', room, b.id], ['message', room, null], ['message', room, 'x'], ['bye', room, a.id],
    ]);
  });

  it('keep names of rooms as clients write them', async () => {
    const [a, b] = await stage.pair();
    const prefix = newRoom();
    for (const ending of [' Müller & Söhne', '😀', '~', '/chat#1', '{"a":1},', '\\"\u2028', 'x'.repeat(80)]) {
      for (const room of [prefix + ending, `~${prefix}${ending}`.slice(0, 95)]) {
        await a.do('join', room);
        assert.deepEqual(await b.ask('join', room), { ok: true, room, id: b.id, count: 2, capacity: 2, others: [a.id] });
        await a.hears('otherjoin', room, b.id);
        assertNumbered(await b.ask('message', room, { room }), room);
        await a.hears('message', room, { room });
        assert.deepEqual(await b.ask('room-info', room), { ok: true, room, count: 2, capacity: 2 });
        await b.do('leave', room);
        await a.hears('bye', room, b.id);
        await a.do('leave', room);
        const common = ['joined', 'leaved'].map((name) => (id) => [name, room, id]);
        assert.deepEqual(b.take(), common.map((event) => event(b.id)));
        assert.deepEqual(a.take(), [
          common[0](a.id), ['otherjoin', room, b.id], ['message', room, { room }], ['bye', room, b.id], common[1](a.id),
        ]);
      }
    }
  });

  it('tell of rooms without a seat in them', async () => {
    const room = newRoom();
    const [a, b] = await stage.pair();
    const { count } = await a.do('room-info', room);
    assert.equal(count, 0);
    await b.do('join', room);
    assert.deepEqual(await a.ask('room-info', room), { ok: true, room, count: 1, capacity: 2 });
    assert.deepEqual(a.take(), []);
  });

  it('carry states, and what only moderators may is refused to whoever was not first', async () => {
    const room = newRoom();
    const [a, b] = await stage.pair();
    await a.do('join', room);
    await b.do('join', room);
    await a.hears('otherjoin', room, b.id);
    a.take();
    b.take();
    assertNumbered(await a.ask('control', room, { type: 'state', state: { mic: false, name: '😀' } }), room);
    assertRefused(await b.ask('control', room, { action: 'mute', kind: 'audio', to: a.id }), 'forbidden');
    assertRefused(await b.ask('control', room, { type: 'control', action: 'kick', to: a.id }), 'forbidden');
    assertRefused(await b.ask('control', room, { type: 'room', version: 1, locked: true }), 'forbidden');
    assertNumbered(await a.ask('control', room, { type: 'signal', to: b.id, data: { candidate: null } }), room);
    await b.hears('message', room, { candidate: null });
    const [state, ...rest] = b.take();
    const { peer, state: changes } = controlOf(state, 'state', room);
    assert.deepEqual([peer, changes], [a.id, { mic: false, name: '😀' }]);
    assert.deepEqual(rest, [['message', room, { candidate: null }]]);
    assert.deepEqual(a.take(), []);
  });

  it('tell how calls went, as docs/classic.md does it', async () => {
    const room = newRoom();
    const [a, b] = await stage.pair();
    await a.do('join', room);
    await b.do('join', room);
    assert.deepEqual(await a.ask('control', room, { type: 'report', peer: b.id, outcome: 'disconnected' }), { ok: true, room });
    assertRefused(await a.ask('control', room, { type: 'report', outcome: 'dropped' }), 'bad_request');

    const count = async (name, label) => (await Promise.all(stage.cluster.gateways.map(({ metrics }) => metrics())))
      .reduce((sum, metric) => sum + metric(name, label), 0);
    const way = 'local="relay",outcome="connected",protocol="tls",region="",remote="srflx"';
    const before = [await count('signalbox_ice_reports_total', way), await count('signalbox_call_failures_total', '"dtls"')];
    const pc = Object.assign(new EventTarget(), {
      getStats: async () => new Map(Object.entries({
        t: { type: 'transport', selectedCandidatePairId: 'p' },
        p: { type: 'candidate-pair', localCandidateId: 'l', remoteCandidateId: 'r' },
        l: { type: 'local-candidate', candidateType: 'relay', protocol: 'udp', relayProtocol: 'tls' },
        r: { type: 'remote-candidate', candidateType: 'srflx' },
      })),
    });
    reportCall(a.socket, room, b.id, pc);
    for (const state of ['connecting', 'connected', 'disconnected', 'connected', 'failed']) {
      Object.assign(pc, { connectionState: state, iceConnectionState: 'connected' }).dispatchEvent(new Event('connectionstatechange'));
    }
    // Other clients report beside this one.
    await until('the reports', async () => (await count('signalbox_call_failures_total', '"dtls"')) > before[1]);
    assert.ok((await count('signalbox_ice_reports_total', way)) > before[0]);
    assert.deepEqual([a.take().length, b.take().length], [2, 1], 'nobody is told');
  });

  /** The options with which a user of the app "acme" connects. */
  const as = (user, ...can) => {
    const credentials = { token: token(user, can) };
    return stage.protocol === 4 ? { query: credentials } : { auth: credentials };
  };

  it('obey moderators', async () => {
    const room = newRoom();
    const moderator = await stage.open('', as('ada', 'publish', 'moderate')).arrive();
    const user = await stage.open('', as('bob', 'publish')).arrive();
    await moderator.do('join', room);
    await user.do('join', room);
    await moderator.hears('otherjoin', room, user.id);
    assert.equal((await (await stage.open().arrive()).do('room-info', room)).count, 0); // of the demo app
    user.take();
    moderator.take();

    assertRefused(await user.ask('control', room, { action: 'mute', kind: 'audio', to: moderator.id }), 'forbidden');
    assertNumbered(await moderator.ask('control', room, { action: 'mute', kind: 'audio', to: user.id }), room, { affected: 1 });
    const locked = await moderator.do('control', room, { type: 'room', version: 1, locked: true });
    assert.equal(locked.version, 2);
    assertRefused(await moderator.ask('control', room, { type: 'room', version: 1, locked: false }), 'conflict', { version: 2 });
    await moderator.do('control', room, { action: 'kick', to: user.id });
    await moderator.hears('bye', room, user.id);
    await user.hears('leaved', room, user.id);

    const events = user.take();
    const types = events.map(([, , detail]) => detail.type);
    const { action, kind, to, by } = controlOf(events[types.indexOf('control')], 'control', room);
    assert.deepEqual([action, kind, to, by], ['mute', 'audio', user.id, moderator.id]);
    assert.equal(controlOf(events[types.indexOf('room')], 'room', room).locked, true);
    assert.equal(controlOf(events.at(-2), 'closed', room).reason, 'kicked');
    assert.deepEqual(events.at(-1), ['leaved', room, user.id]);

    assertRefused(await user.ask('join', room), 'room_locked');
    const [[name, error], ...more] = user.take();
    assert.deepEqual([name, error.code, error.room, more], ['error', 'room_locked', room, []]);
    await moderator.do('message', room, 'into the empty room');
    assert.deepEqual(moderator.take().filter(([event]) => event === 'bye'), [['bye', room, user.id]]);
  });

  it('are not for those whom the app does not let in', async () => {
    const wrong = { token: `${token('eve', ['publish']).slice(0, -8)}AAAAAAAA` };
    const { socket } = stage.open('', stage.protocol === 4 ? { query: wrong } : { auth: wrong });
    const [error] = await next(socket, stage.protocol === 4 ? 'error' : 'connect_error');
    assert.ok((error.message ?? error).length > 0);
    if (stage.protocol === 5) assert.equal(error.data.code, 'unauthorized');
  });

  if (stage.combination.client.name === '4.x') {
    it('are answered for clients that send the next only then', async () => {
      const room = newRoom();
      const a = await stage.open().arrive();
      await a.do('join', room);
      const b = await stage.open('', { retries: 3, ackTimeout: 5000 }).arrive();
      for (const event of [['join', room], ['message', room, 1], ['frobnicate'], ['message', room, 2], ['leave', room]]) {
        b.emit(...event);
      }
      await a.hears('bye', room, b.id);
      assert.deepEqual(a.take(), [
        ['joined', room, a.id], ['otherjoin', room, b.id], ['message', room, 1], ['message', room, 2], ['bye', room, b.id],
      ]);
    });
  }
});
