import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { test } from 'node:test';
import { snapshot, until } from './gateway.js';
import { record, setUp } from './support.js';

/** @import { Room, Signalbox } from '../src/index.js' */

/** What gateways send and take, one message a file: the tests of pkg/wire write them. */
const FILES = new URL('../../../pkg/wire/testdata/', import.meta.url);

/** @param {string} prefix @returns {Promise<Map<string, any>>} by name, without the prefix */
async function golden(prefix) {
  const names = (await readdir(FILES)).filter((name) => name.startsWith(prefix));
  const texts = await Promise.all(names.map((name) => readFile(new URL(name, FILES), 'utf8')));
  return new Map(names.map((name, i) => [name.slice(prefix.length, -'.json'.length), JSON.parse(texts[i])]));
}

/** What each request is made by. @type {Record<string, (room: Room, client: Signalbox) => Promise<any>>} */
const METHODS = {
  clear: (room) => room.clear('whiteboard'),
  'control-admit': (room) => room.admit('w7rt'),
  'control-close': (room) => room.end(),
  'control-close-text': (room) => room.end({ text: 'The class is over' }),
  'control-deny': (room) => room.denyAll(),
  'control-kick': (room) => room.kick('a81x'),
  'control-mute': (room) => room.mute('a81x', 'audio'),
  'control-unmute': (room) => room.unmuteAll('video'),
  history: (room) => room.history('chat', { limit: 20 }).next(),
  'history-before': (room) => room.history('chat', { limit: 20, before: 41 }).next(),
  join: (_, client) => client.join('lobby'),
  'join-capacity': (_, client) => client.join('lobby', { state: { mic: true, camera: false }, capacity: 2 }),
  'join-wait': (_, client) => client.join('lobby', { wait: true }),
  leave: (room) => room.leave(),
  peers: (_, client) => client.peers('lobby'),
  'peers-list': (_, client) => client.peers('lobby', { list: true }),
  publish: (room) => room.publish('hello'),
  'publish-keep': (room) => room.publish({ text: 'hi' }, { topic: 'chat', keep: true }),
  'publish-topic': (room) => room.publish({ text: 'hi' }, { topic: 'chat', echo: true, volatile: true }),
  refresh: (_, client) => client.refresh('header.payload.signature'),
  report: (room) => room.report({ peer: 'a81x', outcome: 'connected', ms: 412, local: 'host', remote: 'srflx', protocol: 'udp' }),
  'report-again': (room) => room.report({
    peer: 'a81x', outcome: 'connected', ms: 2300, local: 'relay', remote: 'host', protocol: 'tls', again: true, restarts: 1,
  }),
  room: (room) => room.update({
    capacity: 4, locked: true, presenter: 'a81x', properties: { title: 'Stand-up' },
    spotlight: { start: 1790000000000, interval: 10000, order: ['a81x'] },
  }),
  'room-clear': (room) => room.update({ locked: false, presenter: null, properties: { title: null }, spotlight: null }),
  'signal-answer': (room) => room.signal('a81x', { description: { type: 'answer', sdp: 'v=0\r\n' } }, { answers: 44 }),
  'signal-offer': (room) => room.signal('a81x', { description: { type: 'offer', sdp: 'v=0\r\n' } }, { offer: true }),
  'signal-candidate': (room) => room.signal('a81x', {
    candidate: { candidate: 'candidate:1 1 udp 2122260223 192.0.2.1 61665 typ host', sdpMid: '0', sdpMLineIndex: 0 },
  }),
  'signal-description': (room) => room.signal('a81x', { description: { type: 'offer', sdp: 'v=0\r\n' } }),
  state: (room) => room.setState({ mic: false, hand: null }),
  undo: (room) => room.undo('whiteboard'),
  'undo-of': (room) => room.undo('chat', { of: 41 }),
};

/**
 * Those that other tests look at, since the client says hello and pings by itself, or that no method makes: it waits for the event with
 * fresh ICE servers and does not ask for them, and a report without a room is none of a Room.
 */
const ELSEWHERE = /^(hello|ping|ice|report-failed)/;

test('what the methods send', async (t) => {
  for (const [name, wanted] of await golden('request-')) {
    if (ELSEWHERE.test(name)) continue;
    await t.test(name, async (t) => {
      assert.ok(METHODS[name], 'no method makes this request');
      const { gateway, client } = await setUp(t);
      gateway.handlers.join = ({ room }) => snapshot({ room, version: wanted.version ?? 1 });
      gateway.handlers.history = ({ room, topic }) => ({ room, topic, seq: 1, epoch: 'e1', messages: [] });
      const me = client();
      await me.connect();
      const room = await me.join('lobby');
      await METHODS[name](room, me);
      const { id, ...sent } = gateway.requests.at(-1) ?? assert.fail();
      assert.ok(id > 0);
      const { id: _, ...request } = wanted;
      assert.deepEqual(sent, request);
    });
  }
});

/** What each event is told as, by the client or the room; undefined where it is not for who has a seat. @type {Record<string, string | undefined>} */
const TOLD = {
  'away-peer': 'peer-state', 'back-peer': 'peer-state', state: 'peer-state', 'joined-peer': 'peer-joined',
  'left-peer': 'peer-left', 'left-peer-closed': 'peer-left', 'left-peer-kicked': 'peer-left', 'left-peer-replaced': 'peer-left', 'left-peer-text': 'peer-left',
  signal: 'signal', 'signal-offer': 'signal', message: 'message', 'message-app': 'message', 'message-kept': 'message', 'message-topic': 'message',
  undone: 'undone', cleared: 'cleared', 'waiting-peer': 'waiter-joined', 'gone-peer': 'waiter-left',
  room: 'changed', 'room-presenter-left': 'changed', control: 'control', 'control-all': 'control', 'control-move': 'move',
  closed: 'closed', 'closed-by-gateway': 'closed', 'closed-replaced': 'closed', 'closed-text': 'closed', 'closed-denied': undefined,
  resync: 'resync', waiting: undefined, seated: undefined, expiring: 'expiring', goaway: 'goaway', ice: 'ice', 'ice-expires': 'ice',
};

test('what events are told as', async (t) => {
  const [join, waits] = ['join', 'join-waiting'];
  const replies = await golden('reply-');
  for (const [name, event] of await golden('event-')) {
    await t.test(name, async (t) => {
      assert.ok(name in TOLD, 'nothing is told of this event');
      const { gateway, client } = await setUp(t);
      gateway.welcome = { session: event.self ?? (event.action === 'move' ? event.to : 'k3vq') };
      const { ok } = replies.get(TOLD[name] ? join : waits);
      const queue = name === 'gone-peer' ? [{ id: event.peer, user: 'eve' }] : [];
      const peers = name === 'joined-peer' ? ok.peers.slice(1) : ok.peers;
      gateway.handlers.join = ({ room }) => ({ ...ok, room, queue, peers, ...(event.action === 'move' && { self: event.to }) });
      const me = client();
      await me.connect();
      if (!TOLD[name]) {
        const waiting = me.wait('lobby');
        await until(() => waiting.position === 2);
        gateway.latest.send(event);
        if (name === 'waiting') await until(() => waiting.position === event.position);
        else if (name === 'seated') assert.equal((await waiting.room).self.id, event.self);
        else await assert.rejects(waiting.room, { code: event.reason, by: event.by });
        return;
      }
      const room = await me.join('lobby');
      await new Promise((resolve) => setTimeout(resolve, 0));
      const told = record('room' in event ? room : me, TOLD[name]);
      gateway.latest.send({ ...event, ...(event.seq !== undefined && { seq: 50 }) });
      await until(() => told.length === 1);
    });
  }
});

/** What replies are given as. @type {Record<string, {request: string, ask: (room: Room, client: Signalbox) => Promise<any>, gives: any}>} */
const GIVEN = {
  clear: { request: 'clear', ask: (room) => room.clear('chat'), gives: 52 },
  control: { request: 'control', ask: (room) => room.muteAll('audio'), gives: 3 },
  'control-repeated': { request: 'control', ask: (room) => room.muteAll('audio'), gives: undefined },
  publish: { request: 'publish', ask: (room) => room.publish(1), gives: 8 },
  refresh: { request: 'refresh', ask: (_, client) => client.refresh('token'), gives: 1790003600000 },
  room: { request: 'room', ask: (room) => room.update({ locked: true }), gives: 4 },
  undo: { request: 'undo', ask: (room) => room.undo('chat'), gives: 41 },
  'undo-nothing': { request: 'undo', ask: (room) => room.undo('chat'), gives: undefined },
  history: {
    request: 'history',
    ask: async (room) => {
      const { value } = await room.history('chat').next();
      return value && [value.seq, value.epoch, value.dropped, value.messages.map(({ seq, from, time, data }) => [seq, from, time, data])];
    },
    gives: [50, '9f2c', 2, [[41, 'a81x', 1790000000000, { text: 'hi' }], [43, undefined, 1790000000500, 'from the app']]],
  },
  'join-queue': {
    request: 'join',
    ask: async (_, client) => [...(await client.join('lobby')).queue.values()].map((waiter) => ({ ...waiter })),
    gives: [
      { id: 'w7rt', user: 'eve', name: 'Eve', reason: 'moderated', away: false },
      { id: 'z2', user: 'dan', name: '', reason: 'full', away: true },
    ],
  },
};

test('what replies are given as', async (t) => {
  const replies = await golden('reply-');
  for (const [name, { request, ask, gives }] of Object.entries(GIVEN)) {
    await t.test(name, async (t) => {
      const { gateway, client } = await setUp(t);
      const me = client();
      await me.connect();
      const room = await me.join('lobby');
      gateway.handlers[request] = () => (replies.get(name) ?? assert.fail()).ok;
      assert.deepEqual(await ask(room, me), gives);
    });
  }
});
