import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { PeerConnection, SignalboxError } from '../src/index.js';
import { until } from './gateway.js';
import { callIn, Scripted, ScriptedConnection } from './scripted.js';
import { record } from './support.js';

const offer = (ufrag = 'A') => ({ type: /** @type {const} */ ('offer'), sdp: `v=0\r\na=ice-ufrag:${ufrag}\r\n` });
const candidate = (name = 'c', ufrag = 'A') => ({ candidate: { candidate: name, usernameFragment: ufrag } });

/** @type {PeerConnection[]} */
const made = [];
afterEach(() => made.splice(0).forEach((peer) => peer.close()));

/**
 * @param {boolean} polite
 * @param {() => unknown} [outcome] of sending
 */
function connection(polite, outcome = () => {}) {
  /** @type {any[]} */
  const sent = [];
  /** @type {any[]} */
  const reports = [];
  const peer = new PeerConnection({
    polite, configuration: {}, RTCPeerConnection: Scripted,
    send: (data) => (sent.push(data), outcome()), report: (outcome) => reports.push(outcome),
  });
  made.push(peer);
  return { peer, pc: /** @type {ScriptedConnection} */ (/** @type {any} */ (peer.pc)), sent, reports };
}

test('an offer is answered', async () => {
  const { peer, pc, sent } = connection(false);
  await peer.receive({ description: offer() });
  assert.deepEqual(pc.log, ['remote offer', 'local answer']);
  assert.deepEqual(sent, [{ description: { type: 'answer', sdp: 'answer' } }]);
});

test('candidates wait for the description that they belong to', async () => {
  const { peer, pc } = connection(true);
  await peer.receive(candidate('early'));
  await peer.receive(candidate('of the next', 'B'));
  await peer.receive({ description: offer('A') });
  await until(() => pc.log.includes('candidate early'));
  assert.ok(!pc.log.includes('candidate of the next'));
  await peer.receive({ description: offer('B') });
  await until(() => pc.log.includes('candidate of the next'));
});

test('when both make an offer', async (t) => {
  await t.test('the polite side gives way', async () => {
    const { peer, pc, sent } = connection(true);
    pc.onnegotiationneeded?.();
    await until(() => pc.signalingState === 'have-local-offer');
    await peer.receive({ description: offer() });
    assert.deepEqual(pc.log, ['local offer', 'remote offer with rollback', 'local answer']);
    assert.deepEqual(sent.map(({ description }) => description.type), ['offer', 'answer']);
  });

  await t.test('the polite side gives its first offer up only when that has a candidate, and once', async () => {
    const { peer, pc, sent } = connection(true);
    pc.gathers = false;
    pc.onnegotiationneeded?.();
    await until(() => pc.signalingState === 'have-local-offer');
    const received = peer.receive({ description: offer() });
    await peer.receive(candidate('his'));
    await new Promise((resolve) => setTimeout(resolve, 10));
    assert.deepEqual(pc.log, ['local offer']);
    pc.onicecandidate?.({ candidate: { toJSON: () => 'own' } });
    await received;
    assert.deepEqual(pc.log, ['local offer', 'remote offer with rollback', 'candidate his', 'local answer']);
    assert.deepEqual(sent.map(({ description, candidate: own }) => description?.type ?? own), ['offer', 'own', 'answer']);
    pc.onnegotiationneeded?.();
    await until(() => pc.signalingState === 'have-local-offer');
    await peer.receive({ description: offer('B') });
    assert.equal(pc.log.at(-2), 'remote offer with rollback');
  });

  await t.test('the polite side waits five seconds for a candidate, at most', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { peer, pc } = connection(true);
    pc.gathers = false;
    pc.onnegotiationneeded?.();
    while (pc.signalingState === 'stable') await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
    const received = peer.receive({ description: offer() });
    t.mock.timers.tick(4_999);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(pc.log, ['local offer']);
    t.mock.timers.tick(1);
    await received;
    assert.deepEqual(pc.log, ['local offer', 'remote offer with rollback', 'local answer']);
  });

  await t.test('candidates of the answer that overtake it wait for it', async () => {
    const { peer, pc } = connection(false);
    pc.onnegotiationneeded?.();
    await until(() => pc.signalingState === 'have-local-offer');
    await peer.receive({ description: offer('X') });
    await peer.receive(candidate('ignored', 'X'));
    await peer.receive(candidate('early', 'Y'));
    await peer.receive({ description: /** @type {any} */ ({ ...offer('Y'), type: 'answer' }) });
    await until(() => pc.log.includes('candidate early'));
    assert.deepEqual(pc.log, ['local offer', 'remote answer', 'candidate early']);
  });

  await t.test('the other one ignores the offer and its candidates, until there is another', async () => {
    const { peer, pc } = connection(false);
    pc.onnegotiationneeded?.();
    await peer.receive({ description: offer('X') }); // while the own offer is being made
    await until(() => pc.signalingState === 'have-local-offer');
    await peer.receive(candidate('ignored', 'X'));
    await peer.receive({ description: offer('X') }); // and afterwards
    await peer.receive({ description: /** @type {any} */ ({ ...offer('Y'), type: 'answer' }) });
    await peer.receive(candidate('good', 'Y'));
    assert.deepEqual(pc.log, ['local offer', 'remote answer', 'candidate good']);
  });
});

test('an offer that comes again while it is being set is answered once', async () => {
  const { peer, pc, sent } = connection(false);
  await Promise.all([peer.receive({ description: offer() }, 7), peer.receive({ description: offer() }, 8)]);
  assert.deepEqual(pc.log, ['remote offer', 'remote offer', 'local answer']);
  assert.deepEqual(sent.map(({ description }) => description.type), ['answer']);
});

test('an offer that is old and unanswered when the peer makes its own is sent again', async (t) => {
  const { peer, pc, sent } = connection(false);
  pc.onnegotiationneeded?.();
  await until(() => sent.length === 1);
  await peer.receive({ description: offer('X') });
  assert.equal(sent.length, 1);
  const now = performance.now() + 6_000;
  t.mock.method(performance, 'now', () => now);
  await peer.receive({ description: offer('Y') });
  assert.deepEqual(sent.map(({ description }) => description.sdp), ['offer 1', 'offer 1']);
  assert.deepEqual(pc.log, ['local offer']);
});

test('a connection that does not begin is seen to five times, at intervals that double', async (t) => {
  /** Lets what was begun settle, and tells what was done after each of so many seconds that it was anything. */
  const after = async (/** @type {any} */ t, /** @type {number[]} */ seconds, /** @type {() => number} */ count) => {
    const done = [];
    for (const [n, second] of seconds.entries()) {
      const before = count();
      t.mock.timers.tick((second - (seconds[n - 1] ?? 0)) * 1_000);
      for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      if (count() > before) done.push(second);
    }
    return done;
  };
  const seconds = Array.from({ length: 400 }, (_, n) => n + 1);
  const times = [5, 15, 35, 75, 155];

  await t.test('whose offer, or its answer, was lost', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { peer, pc, sent } = connection(true);
    pc.onnegotiationneeded?.();
    assert.deepEqual(await after(t, seconds, () => sent.length), [1, ...times.map((second) => second + 1)]);
    assert.deepEqual(new Set(sent.map(({ description }) => description.sdp)), new Set(['offer 1']));
    await peer.receive({ description: { ...offer(), type: 'answer' } });
    assert.deepEqual(await after(t, seconds, () => sent.length), [], 'it was answered, and what begins is left alone');
  });

  await t.test('whose offer was refused for good is left alone', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { pc, sent } = connection(true, async () => false);
    pc.onnegotiationneeded?.();
    assert.deepEqual(await after(t, seconds, () => sent.length), [1]);
  });

  await t.test('whose offer could not be handed over, which is told', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    for (const outcome of [() => { throw new Error('no way'); }, () => Promise.reject(new Error('no way'))]) {
      const { peer, pc, sent } = connection(true, outcome);
      const errors = record(peer, 'error');
      pc.onnegotiationneeded?.();
      assert.deepEqual(await after(t, seconds.slice(0, 8), () => sent.length), [1, 6]);
      assert.deepEqual(errors.map(([, { error }]) => error.message), ['no way', 'no way']);
    }
  });

  await t.test('whose offer waits for a lost connection is seen to when that is sent', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    let over = () => {};
    const { pc, sent } = connection(true, () => new Promise((/** @type {(_?: any) => void} */ resolve) => (over = resolve)));
    pc.onnegotiationneeded?.();
    assert.deepEqual(await after(t, seconds.slice(0, 4), () => sent.length), [1]);
    assert.deepEqual(await after(t, seconds.slice(0, 100), () => sent.length), []);
    over();
    assert.deepEqual(await after(t, seconds.slice(0, 100), () => sent.length), [6]);
  });

  await t.test('whose candidates were lost', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { peer, pc } = connection(false);
    peer.receive({ description: offer() });
    assert.deepEqual(await after(t, seconds, () => pc.log.filter((step) => step === 'restart').length), times.map((second) => second + 1));
  });

  await t.test('whose offer could not be made', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { peer, pc, sent } = connection(true);
    const errors = record(peer, 'error');
    const { setLocalDescription } = pc;
    pc.setLocalDescription = () => Promise.reject(new Error('no encoder'));
    peer.addTrack(/** @type {any} */ ({ id: 'mic' }), []);
    assert.deepEqual(await after(t, seconds.slice(0, 20), () => errors.length), [1, 5, 15]);
    pc.setLocalDescription = setLocalDescription;
    assert.deepEqual(await after(t, seconds.slice(0, 60), () => sent.length), [15, 55]);
  });

  await t.test('and one that has begun is not, nor one that has nothing to send, nor one that is closed', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const [begun, silent, closed] = [connection(true), connection(true), connection(true)];
    closed.pc.onnegotiationneeded?.();
    await begun.peer.receive({ description: offer() });
    begun.pc.become('connected');
    closed.peer.close();
    assert.deepEqual(await after(t, seconds, () => begun.pc.log.length + silent.pc.log.length + closed.sent.length), []);
    begun.pc.onnegotiationneeded?.();
    assert.deepEqual(await after(t, seconds.slice(0, 8), () => begun.sent.length), [1, 6], 'a later offer may be lost as well');
  });
});

test('an offer that could not be sent for a while is sent when it can', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let attempts = 0;
  const { call } = callIn(t, {
    signal: async (/** @type {string} */ to) => {
      if (to === 'ada') attempts += 1;
      if (to === 'ada' && attempts < 8) throw new SignalboxError('unavailable', 'Redis is away', { retryable: true });
    },
  });
  const errors = record(call, 'error');
  const seconds = [];
  for (let second = 0; second < 60; second += 1) {
    const before = attempts;
    for (let step = 0; step < 4; step += 1) {
      for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      t.mock.timers.tick(250);
    }
    if (attempts > before) seconds.push(second);
  }
  assert.deepEqual(errors.map(([, { peer, error }]) => [peer.id, error.code]), [['ada', 'unavailable']]);
  assert.deepEqual(seconds, [0, 1, 2, 3, 8, 9, 19, 39], 'six times, told, two times more, and then the answer is missing');
});

test('an error of the negotiation is told', async () => {
  const { peer, pc } = connection(true);
  const errors = record(peer, 'error');
  pc.setRemoteDescription = () => Promise.reject(new Error('bad SDP'));
  await peer.receive({ description: offer() });
  assert.equal(errors[0][1].error.message, 'bad SDP');
  await peer.receive({});
  await peer.receive(/** @type {any} */ ({ chat: 'not for us' }));
  assert.equal(errors.length, 1);
});

test('outcomes are reported once a negotiation', async () => {
  const { peer, pc, reports } = connection(true);
  const states = record(peer, 'connection');
  for (const state of ['connected', 'disconnected', 'connected']) pc.become(state);
  await until(() => reports.length === 1);
  pc.become('failed');
  pc.become('connected');
  await until(() => reports.length === 3);
  assert.deepEqual(reports.map(({ ms, ...report }) => [Number.isInteger(ms), report]), [
    [true, { outcome: 'connected', local: 'relay', remote: 'srflx', protocol: 'tls' }],
    [true, { outcome: 'failed', reason: 'ice', local: 'relay', remote: 'srflx' }],
    [true, { outcome: 'connected', again: true, restarts: 1, local: 'relay', remote: 'srflx', protocol: 'tls' }],
  ]);
  assert.deepEqual(pc.log, ['restart']);
  peer.close();
  peer.close();
  pc.become('failed');
  assert.deepEqual(states.map(([, { state }]) => state), ['connected', 'disconnected', 'connected', 'failed', 'connected', 'closed']);
});

test('a connection that is lost for a while is reported, and what it took to have it again', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { peer, pc, reports } = connection(true);
  const settled = async (/** @type {number} */ count) => {
    while (reports.length < count) await new Promise((resolve) => setImmediate(resolve));
  };
  pc.become('connected');
  await settled(1);
  pc.become('disconnected');
  t.mock.timers.tick(4_999);
  pc.become('connected');
  t.mock.timers.tick(60_000);
  pc.become('disconnected');
  t.mock.timers.tick(5_000);
  await settled(2);
  peer.restart();
  peer.restart();
  pc.become('connected');
  await settled(3);
  peer.restart();
  assert.deepEqual(pc.log, ['restart', 'restart']);
  const pair = { local: 'relay', remote: 'srflx', protocol: 'tls' };
  assert.deepEqual(reports.map(({ ms, ...report }) => [Number.isInteger(ms), report]), [
    [true, { outcome: 'connected', ...pair }],
    [true, { outcome: 'disconnected', ...pair }],
    [true, { outcome: 'connected', again: true, restarts: 2, ...pair }],
  ]);
  pc.become('disconnected');
  peer.close();
  t.mock.timers.tick(60_000);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(reports.length, 3, 'who hangs up has lost nothing');
});

test('the newcomer begins, who was there first answers with its own tracks', async (t) => {
  const { call, room, signals, tell, of } = callIn(t);
  assert.deepEqual([...call.connections].map(([id, { polite }]) => [id, polite]), [['ada', true], ['bob', false]]);
  assert.deepEqual(of('ada').configuration, { bundlePolicy: 'max-bundle', iceServers: [{ urls: 'stun:one' }] });
  await until(() => signals.length === 1);
  assert.deepEqual([signals[0][0], signals[0][1].description.type], ['ada', 'offer']);
  tell(room, 'signal', { from: 'bob', data: { description: offer() } });
  await until(() => signals.length === 2);
  assert.deepEqual(of('bob').log, ['remote offer', 'track mic', 'local answer']);
});

test('an answer tells which offer it is for, and is not sent again once a later one has come', async (t) => {
  /** @type {[string, string, any][]} */
  const sent = [];
  const { call, room, tell } = callIn(t, {
    signal: async (/** @type {string} */ to, /** @type {any} */ { description }, /** @type {any} */ { offer, answers }) => {
      sent.push([to, description.type, offer ?? answers]);
      if (answers === 40) throw new SignalboxError('stale', 'a later offer has come');
    },
  });
  const errors = record(call, 'error');
  await until(() => sent.length === 1);
  assert.deepEqual(sent, [['ada', 'offer', true]]);
  tell(room, 'signal', { from: 'bob', data: { description: offer() }, seq: 40 });
  await until(() => sent.length === 2);
  tell(room, 'signal', { from: 'bob', data: { description: offer() }, seq: 44 });
  await until(() => sent.length === 3);
  assert.deepEqual(sent.slice(1), [['bob', 'answer', 40], ['bob', 'answer', 44]]);
  assert.deepEqual(errors, []);
});

test('a newcomer that has nothing to send gets an offer all the same', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { of } = callIn(t);
  assert.deepEqual(of('bob').log, []);
  t.mock.timers.tick(1_000);
  assert.deepEqual(of('bob').log, ['track mic']);
});

test('who comes is connected, who leaves is closed, and all are when one\'s own seat is another', async (t) => {
  const { call, room, tell, of } = callIn(t);
  const states = record(call, 'connection');
  const bob = of('bob');
  room.peers.delete('bob');
  tell(room, 'peer-left', { peer: { id: 'bob' } });
  assert.deepEqual(bob.log, ['close']);
  const carol = { id: 'carol', order: 4, name: 'carol' };
  room.peers.set('carol', carol);
  tell(room, 'peer-joined', { peer: carol });
  assert.deepEqual([...call.connections.keys()], ['ada', 'carol']);

  const before = of('ada');
  tell(room, 'resync', { newSeat: false });
  assert.equal(of('ada'), before, 'with the same seat, what is negotiated stays');
  room.peers.delete('carol');
  tell(room, 'resync', { newSeat: false });
  assert.deepEqual([...call.connections.keys()], ['ada']);

  room.peers.delete('me');
  room.self = { id: 'me again', order: 9 };
  room.peers.set('me again', room.self);
  tell(room, 'resync', { newSeat: true });
  assert.ok(before.log.includes('close'));
  assert.notEqual(of('ada'), before);
  tell(room, 'closed', {});
  assert.equal(call.connections.size, 0);
  assert.equal(states.filter(([, { state }]) => state === 'closed').length, 4);
});

test('a peer that is away keeps its connection, and gets another way if it needs one when it is back', async (t) => {
  const { call, room, peers, tell, of } = callIn(t);
  const become = (/** @type {number} */ n, /** @type {boolean} */ away) => {
    const peer = { ...peers[n], away };
    room.peers.set(peer.id, peer);
    tell(room, 'peer-state', { peer, changes: {} });
  };
  of('ada').become('connected');
  of('bob').become('disconnected');
  for (const away of [true, false, false]) {
    become(0, away);
    become(2, away);
    assert.equal(call.connections.size, 2);
  }
  assert.equal(of('ada').log.filter((step) => step === 'restart').length, 0);
  assert.equal(of('bob').log.filter((step) => step === 'restart').length, 1);
});

test('after a snapshot, what may have been lost is made up for', async (t) => {
  const { room, signals, tell, of } = callIn(t);
  await until(() => signals.length === 1);
  of('bob').become('disconnected');
  // Ada may have missed the offer, or one's own side her answer.
  tell(room, 'resync', { newSeat: false });
  await until(() => signals.length === 2);
  assert.deepEqual(signals[1], signals[0]);
  assert.deepEqual(of('bob').log, ['restart']);
  of('bob').become('connected');
  tell(room, 'resync', { newSeat: false });
  assert.deepEqual(of('bob').log, ['restart']);

  // Ada has answered twice.
  const answer = /** @type {any} */ ({ ...offer(), type: 'answer' });
  tell(room, 'signal', { from: 'ada', data: { description: answer } });
  tell(room, 'signal', { from: 'ada', data: { description: answer } });
  await until(() => of('ada').signalingState === 'stable');
  tell(room, 'signal', { from: 'ada', data: { description: answer } });
  await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(of('ada').log.filter((step) => step === 'remote answer').length, 1);
});

test('a peer that has another seat is connected anew', async (t) => {
  const { room, peers, tell, of } = callIn(t);
  const before = of('bob');
  const bob = { ...peers[2], order: 7 };
  room.peers.set('bob', bob);
  tell(room, 'resync', { newSeat: false });
  assert.deepEqual(before.log, ['close']);
  assert.notEqual(of('bob'), before);
  const ada = of('ada');
  tell(room, 'resync', { newSeat: true });
  assert.ok(ada.log.includes('close'), 'to the others one is somebody new');
});

test('tracks, streams and ICE servers change everywhere', async (t) => {
  const { call, client, tell, track, of } = callIn(t);
  const camera = /** @type {any} */ ({ id: 'camera', kind: 'video' });
  const screen = /** @type {any} */ ({ id: 'screen', kind: 'video' });
  call.addTrack(camera, /** @type {any} */ ('s1'));
  await call.replaceTrack(camera, screen);
  call.setStreams(track, /** @type {any} */ ('s2'));
  call.removeTrack(track);
  assert.deepEqual(of('ada').log, ['track mic', 'track camera', 'screen for camera', 'streams of mic: s2', 'no track mic']);
  client.iceServers = [{ urls: 'turn:two' }];
  tell(client, 'ice', {});
  assert.deepEqual(of('bob').configuration.iceServers, [{ urls: 'turn:two' }]);
  assert.deepEqual(of('ada').configuration, { bundlePolicy: 'max-bundle', iceServers: [{ urls: 'turn:two' }] });
  call.close();
  client.iceServers = [{ urls: 'turn:three' }];
  tell(client, 'ice', {});
  assert.deepEqual(ScriptedConnection.made.map(({ configuration }) => configuration.iceServers), [[{ urls: 'turn:two' }], [{ urls: 'turn:two' }]], 'a call that is over changes nothing');
});

test('a room for relays alone makes connections through relays alone, also with other servers', (t) => {
  const { client, tell, of } = callIn(t, { relayOnly: true });
  const relayed = { bundlePolicy: 'max-bundle', iceTransportPolicy: 'relay' };
  assert.deepEqual(of('ada').configuration, { ...relayed, iceServers: [{ urls: 'stun:one' }] });
  client.iceServers = [{ urls: 'turn:two' }];
  tell(client, 'ice', {});
  for (const id of ['ada', 'bob']) assert.deepEqual(of(id).configuration, { ...relayed, iceServers: [{ urls: 'turn:two' }] });
});

test('signals', async (t) => {
  await t.test('that are refused for the moment are sent again', async (t) => {
    let attempts = 0;
    const { call } = callIn(t, {
      signal: async () => {
        attempts += 1;
        if (attempts === 1) throw new SignalboxError('unavailable', 'Redis is away', { retryable: true });
      },
    });
    const errors = record(call, 'error');
    await until(() => attempts === 2);
    assert.equal(errors.length, 0);
  });

  await t.test('to a peer that is gone are not', async (t) => {
    let attempts = 0;
    const { call } = callIn(t, {
      signal: async () => {
        attempts += 1;
        throw new SignalboxError('peer_gone', 'gone');
      },
    });
    const errors = record(call, 'error');
    await until(() => attempts === 1);
    assert.equal(errors.length, 0);
  });

  await t.test('whose outcome is not known are sent again', async (t) => {
    let attempts = 0;
    const { call } = callIn(t, {
      signal: async () => {
        attempts += 1;
        if (attempts === 1) throw new SignalboxError('outcome_unknown', 'who knows');
      },
    });
    const errors = record(call, 'error');
    await until(() => attempts === 2);
    assert.equal(errors.length, 0);
  });

  await t.test('that are refused for good are told', async (t) => {
    const { call } = callIn(t, {
      signal: async () => {
        throw new SignalboxError('forbidden', 'no');
      },
    });
    const errors = record(call, 'error');
    await until(() => errors.length === 1);
    assert.equal(errors[0][1].error.code, 'forbidden');
    assert.equal(errors[0][1].peer.id, 'ada');
  });
});
