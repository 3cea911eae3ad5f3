import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PeerConnection, SignalboxError } from '../src/index.js';
import { qualityOf } from '../src/statistics.js';
import { until } from './gateway.js';
import { callIn, Scripted, ScriptedConnection } from './scripted.js';
import { next, record } from './support.js';

/** A track that can end by itself, as a device's does when it is unplugged. */
class Track extends EventTarget {
  enabled = true;
  stopped = false;

  /**
   * @param {string} id
   * @param {string} kind
   */
  constructor(id, kind) {
    super();
    this.id = id;
    this.kind = kind;
  }

  stop() {
    this.stopped = true;
  }
}

/**
 * @param {string} id
 * @param {...Track} tracks
 */
function stream(id, ...tracks) {
  return /** @type {any} */ ({
    id,
    getTracks: () => [...tracks],
    addTrack: (/** @type {Track} */ track) => tracks.push(track),
    removeTrack: (/** @type {Track} */ track) => tracks.splice(tracks.indexOf(track), 1),
  });
}

const microphone = () => new Track('mic', 'audio');
const camera = (id = 'cam') => new Track(id, 'video');

test('another stream takes the place of the first, track by track', async (t) => {
  const first = stream('first', microphone(), camera());
  const { call, of } = callIn(t, {}, { stream: first });
  assert.deepEqual(of('ada').log, ['track mic', 'track cam']);
  await call.setStream(stream('second', camera('other cam')));
  assert.deepEqual(of('ada').log.slice(2).sort(), ['no track mic', 'other cam for cam']);
  of('ada').senders = [];
  await call.setStream(stream('third', microphone()));
  assert.deepEqual(of('ada').senders.map(({ track, streams }) => [track.id, streams[0].id]), [['mic', 'first']], 'to the others it stays the same stream');
});

test('a shared screen is told from the camera', async (t) => {
  const { call, room, signals, tell, of } = callIn(t);
  await until(() => signals.length === 1);
  assert.deepEqual(Object.keys(signals[0][1]), ['description'], 'who shares nothing says nothing');
  const screen = stream('screen-1', camera('screen'));
  call.addStream(screen);
  of('ada').signalingState = 'stable';
  of('ada').onnegotiationneeded?.();
  await until(() => signals.length === 2);
  assert.deepEqual(signals[1][1].streams, { 'screen-1': 'screen' });
  call.removeStream(screen);
  assert.ok(of('ada').log.includes('no track screen'));
  of('ada').signalingState = 'stable';
  of('ada').onnegotiationneeded?.();
  await until(() => signals.length === 3);
  assert.deepEqual(Object.keys(signals[2][1]), ['description']);

  const told = record(call, 'track', 'track-removed');
  const theirs = Object.assign(new EventTarget(), { id: 'theirs' });
  const foreign = { id: 'foreign' };
  for (const [streams, purpose] of [[{ theirs: 'screen' }, 'screen'], [{ theirs: 7 }, 'camera'], [undefined, 'camera'], ['what', 'camera']]) {
    tell(room, 'signal', { from: 'ada', data: { description: { type: 'answer', sdp: '' }, streams } });
    /** @type {any} */ (of('ada')).ontrack({ track: foreign, streams: [theirs], transceiver: {} });
    assert.equal(told.at(-1)?.[1].purpose, purpose);
  }
  theirs.dispatchEvent(Object.assign(new Event('removetrack'), { track: {} }));
  assert.equal(told.length, 4);
  theirs.dispatchEvent(Object.assign(new Event('removetrack'), { track: foreign }));
  theirs.dispatchEvent(Object.assign(new Event('removetrack'), { track: foreign }));
  assert.deepEqual(told.slice(4).map(([type, { purpose, peer }]) => [type, purpose, peer.id]), ['screen', 'camera', 'camera', 'camera'].map((purpose) => ['track-removed', purpose, 'ada']));
});

test('a device that is gone is replaced', async (t) => {
  const [mic, cam, next_] = [microphone(), camera(), camera('next cam')];
  const own = stream('own', mic, cam);
  /** @type {any} */
  let found;
  let asked = 0;
  const recapture = async () => {
    asked += 1;
    if (!found) throw new DOMException('none', 'NotFoundError');
    return found;
  };
  const devices = new EventTarget();
  const { navigator } = globalThis;
  Object.defineProperty(globalThis, 'navigator', { value: { mediaDevices: devices }, configurable: true });
  t.after(() => Object.defineProperty(globalThis, 'navigator', { value: navigator, configurable: true }));
  const { call, of } = callIn(t, {}, { stream: own, recapture });
  const told = record(call, 'own-track');
  cam.enabled = false;
  cam.dispatchEvent(new Event('ended'));
  await until(() => told.length === 1);
  assert.deepEqual(told[0][1], { track: cam, purpose: 'camera', replacement: undefined });
  found = next_;
  devices.dispatchEvent(new Event('devicechange'));
  await until(() => told.length === 2);
  assert.deepEqual(told[1][1], { track: cam, purpose: 'camera', replacement: next_ });
  assert.ok(of('ada').log.includes('next cam for cam'));
  assert.equal(next_.enabled, false, 'who was not seen is not seen now');
  assert.deepEqual(own.getTracks(), [mic, next_]);
  devices.dispatchEvent(new Event('devicechange'));
  assert.equal(asked, 2, 'nothing is missing');

  await t.test('but not a screen that is shared no more', async () => {
    const screen = camera('screen');
    call.addStream(stream('s', screen));
    screen.dispatchEvent(new Event('ended'));
    await until(() => told.length === 3);
    assert.deepEqual([told[2][1].purpose, told[2][1].replacement, asked], ['screen', undefined, 2]);
    assert.ok(of('ada').log.includes('no track screen'));
  });

  await t.test('and a device that comes when the call is over is closed', async () => {
    found = camera('late');
    mic.dispatchEvent(new Event('ended'));
    call.close();
    await until(() => found.stopped);
  });
});

test('another network is another way to everybody', (t) => {
  const { client, tell, of } = callIn(t);
  for (const id of ['ada', 'bob']) of(id).become('connected');
  tell(client, 'network', { online: true });
  for (const id of ['ada', 'bob']) assert.ok(of(id).log.includes('restart'));
});

test('one\'s uplink is shared out among the peers', async (t) => {
  /** @type {Map<string, number[]>} */
  const limits = new Map();
  class Limited extends ScriptedConnection {
    getSenders() {
      return super.getSenders().map((sender) => ({
        ...sender,
        getParameters: () => ({ encodings: [{}] }),
        setParameters: async (/** @type {any} */ { encodings }) => limits.set(sender.track.id, encodings.map((/** @type {any} */ { maxBitrate }) => maxBitrate)),
      }));
    }
  }
  const { call } = callIn(t, {}, { stream: stream('own', microphone(), camera()), uplink: 3_000_000, RTCPeerConnection: /** @type {any} */ (Limited) });
  await until(() => limits.get('cam')?.[0] === 1_500_000);
  call.addStream(stream('s', camera('screen')));
  await until(() => limits.get('cam')?.[0] === 750_000);
  assert.deepEqual([...limits], [['cam', [750_000]], ['screen', [750_000]]], 'two videos to two peers, and sound as it is');
});

test('statistics', async (t) => {
  const peer = new PeerConnection({ polite: true, configuration: {}, RTCPeerConnection: Scripted, send: () => {}, report: () => {} });
  t.after(() => peer.close());
  const pc = /** @type {any} */ (peer.pc);
  const counters = (/** @type {number[]} */ [bytesReceived, bytesSent, packetsReceived, packetsLost]) => new Map(Object.entries({
    t: { type: 'transport', selectedCandidatePairId: 'p' },
    p: { type: 'candidate-pair', localCandidateId: 'l', remoteCandidateId: 'r', currentRoundTripTime: 0.2, bytesReceived, bytesSent },
    l: { type: 'local-candidate', candidateType: 'relay', protocol: 'udp', relayProtocol: 'tls' },
    r: { type: 'remote-candidate', candidateType: 'host' },
    i: { type: 'inbound-rtp', packetsReceived, packetsLost, jitter: 0.01 },
    o: { type: 'remote-inbound-rtp', fractionLost: 0.02 },
  }));
  let [at, wall] = [Math.ceil(performance.now()), Date.now()]; // whole, so that differences are exact
  t.mock.method(performance, 'now', () => at);
  t.mock.method(Date, 'now', () => wall);
  pc.getStats = async () => counters([1_000, 2_000, 100, 100]);
  const first = await peer.stats();
  assert.deepEqual([first.quality, first.received, first.loss], [0, undefined, 0.5], 'not connected, and nothing to compare with');
  pc.connectionState = 'connected';
  at += 100;
  wall += 100;
  assert.equal(await peer.stats(), first, 'too early to say something else');
  at += 1_900;
  wall += 1_900;
  pc.getStats = async () => counters([251_000, 502_000, 199, 101]);
  assert.deepEqual(await peer.stats(), {
    time: wall, rtt: 200, jitter: 10, loss: 0.01, lossSent: 0.02, received: 1_000_000, sent: 2_000_000,
    local: 'relay', remote: 'host', protocol: 'tls', quality: 3,
  });
  at += 1_000;
  wall += 1_000;
  pc.getStats = async () => counters([0, 0, 0, 0]);
  const after = await peer.stats();
  assert.deepEqual([after.received, after.sent, after.loss], [undefined, undefined, undefined], 'another pair counts anew');
});

for (const [quality, measured] of /** @type {const} */ ([
  [4, { rtt: 150, jitter: 20, loss: 0.01, lossSent: 0 }],
  [3, { rtt: 151, jitter: 0, loss: 0, lossSent: 0 }],
  [3, { rtt: 0, jitter: 21, loss: 0, lossSent: 0 }],
  [2, { rtt: 0, jitter: 0, loss: 0.031, lossSent: 0 }],
  [2, { rtt: 0, jitter: 0, loss: 0, lossSent: 0.08 }],
  [1, { rtt: 501, jitter: 0, loss: 0, lossSent: 0 }],
  [4, { rtt: undefined, jitter: undefined, loss: undefined, lossSent: undefined }],
])) {
  test(`quality ${quality}: ${JSON.stringify(measured)}`, () => assert.equal(qualityOf(measured), quality));
}

test('statistics are told every so often', async (t) => {
  const { call, room, tell } = callIn(t, {}, { statsInterval: 5 });
  const { stats } = await next(call, 'stats');
  assert.deepEqual([...stats.keys()], ['ada', 'bob']);
  assert.equal(stats.get('ada').local, 'relay');
  for (const id of ['ada', 'bob']) tell(room, 'peer-left', { peer: { id } });
  assert.deepEqual([...(await call.stats())], []);
});

/** One end of a data channel, whose buffer is as full as the test says. */
class DataChannel extends EventTarget {
  readyState = 'connecting';
  bufferedAmount = 0;
  protocol = 'signalbox.call';
  /** @type {any[]} */
  sent = [];

  /** @param {string} label */
  constructor(label) {
    super();
    this.label = label;
  }

  /** @param {any} data */
  send(data) {
    this.sent.push(data);
  }

  /** @param {'open' | 'close' | 'bufferedamountlow'} type */
  become(type) {
    if (type === 'open') this.readyState = 'open';
    if (type === 'close') this.readyState = 'closed';
    this.dispatchEvent(new Event(type));
  }

  close() {
    this.become('close');
  }
}

class WithChannels extends ScriptedConnection {
  /** @type {DataChannel[]} */
  channels = [];

  /** @param {string} label */
  createDataChannel(label) {
    this.channels.push(new DataChannel(label));
    return this.channels.at(-1);
  }

  /** @param {DataChannel} channel */
  takes(channel) {
    this.dispatchEvent(Object.assign(new Event('datachannel'), { channel }));
    return { says: (/** @type {any} */ data) => channel.dispatchEvent(new MessageEvent('message', { data })) };
  }
}

test('channels', async (t) => {
  const withChannels = (/** @type {import('node:test').TestContext} */ t) => {
    const made = callIn(t, {}, { RTCPeerConnection: /** @type {any} */ (WithChannels) });
    return { ...made, of: (/** @type {string} */ id) => /** @type {WithChannels} */ (made.of(id)) };
  };

  await t.test('reach who is there and who comes, until they are closed', async (t) => {
    const { call, room, tell, of } = withChannels(t);
    const files = call.channel('files');
    assert.equal(call.channel('files'), files);
    const told = record(files, 'open', 'close');
    assert.equal(await files.send('to nobody'), 0);
    assert.equal(of('bob').channels.length, 0, 'not before there is anything to negotiate with');
    tell(room, 'signal', { from: 'bob', data: { description: { type: 'offer', sdp: '' } } });
    await until(() => of('bob').channels.length === 1);
    for (const id of ['ada', 'bob']) of(id).channels[0].become('open');
    assert.equal(await files.send('to both'), 2);
    assert.equal(await files.send('to one', { to: 'bob' }), 1);
    assert.equal(await files.send('to nobody', { to: 'eve' }), 0);
    assert.deepEqual([of('ada').channels[0].sent, of('bob').channels[0].sent], [['to both'], ['to both', 'to one']]);
    of('ada').channels[0].become('close');
    assert.deepEqual(told.map(([type, { peer }]) => [type, peer.id]), [['open', 'ada'], ['open', 'bob'], ['close', 'ada']]);
    assert.deepEqual(files.open, ['bob']);
    files.close();
    assert.equal(of('bob').channels[0].readyState, 'closed');
    assert.notEqual(call.channel('files'), files);
  });

  await t.test('wait for those for which too much waits already', async (t) => {
    const { call, of } = withChannels(t);
    const files = call.channel('files', { highWater: 10 });
    const [channel] = of('ada').channels;
    channel.become('open');
    channel.bufferedAmount = 11;
    assert.equal(await files.send('soon out of date', { volatile: true }), 0);
    const given = new AbortController();
    const up = assert.rejects(files.send('given up', { signal: given.signal }), { name: 'AbortError' });
    const later = [files.send('one'), files.send('two')];
    given.abort();
    await up;
    assert.deepEqual(channel.sent, []);
    channel.bufferedAmount = 0;
    channel.become('bufferedamountlow');
    assert.deepEqual(await Promise.all(later), [1, 1]);
    assert.deepEqual(channel.sent, ['one', 'two']);
    channel.bufferedAmount = 11;
    const last = files.send('who leaves gets nothing');
    channel.become('close');
    assert.equal(await last, 0);
  });

  await t.test('tell what came before this side had them, in order, and no more than that', async (t) => {
    const { call, of } = withChannels(t);
    const ada = of('ada').takes(new DataChannel('chat'));
    of('ada').takes(Object.assign(new DataChannel('chat'), { protocol: 'the application\'s own' })).says('not for us');
    for (let n = 0; n < 300; n += 1) ada.says(n);
    const chat = call.channel('chat');
    const told = record(chat, 'message');
    await until(() => told.length > 0);
    ada.says('now');
    assert.deepEqual(told.map(([, { data, peer }]) => [data, peer.id]), [...Array.from({ length: 256 }, (_, n) => n), 'now'].map((data) => [data, 'ada']));
  });
});

test('a refused signal does not keep another description from being labelled', async (t) => {
  let attempts = 0;
  /** @type {any[]} */
  const sent = [];
  const { call } = callIn(t, {
    signal: async (/** @type {string} */ _to, /** @type {any} */ data) => {
      attempts += 1;
      if (attempts === 1) throw new SignalboxError('unavailable', 'Redis is away', { retryable: true });
      sent.push(data);
    },
  }, { stream: undefined });
  call.addStream(stream('s', camera('screen')), 'slides');
  await until(() => sent.length > 0);
  assert.deepEqual(sent[0].streams, { s: 'slides' });
});
