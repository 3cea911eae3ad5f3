import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import { Signalbox } from '../src/index.js';
import { TypedTarget } from '../src/events.js';
import { until } from './gateway.js';
import { joined, setUp } from './support.js';

/** @extends {TypedTarget<{number: number, word: string}>} */
class Source extends TypedTarget {
  /** @param {...(number | string)} values */
  say(...values) {
    for (const value of values) {
      if (typeof value === 'number') this.emit('number', value);
      else this.emit('word', value);
    }
  }

  close() {
    this.endStreams();
  }
}

/** @param {AsyncIterable<any>} stream */
async function all(stream) {
  const values = [];
  for await (const { detail } of stream) values.push(detail);
  return values;
}

test('a stream has what happens since it was made, in order, until its target is closed', async () => {
  const source = new Source();
  source.say(0);
  const [everything, words] = [source.events(), source.events({ types: ['word'] })];
  source.say(1, 'one');
  const first = everything.next();
  source.say(2);
  assert.equal((await first).value.detail, 1);
  source.close();
  source.say(3);
  assert.deepEqual(await all(everything), ['one', 2]);
  assert.deepEqual(await all(words), ['one']);
  assert.deepEqual(await everything.next(), { done: true, value: undefined });
});

test('several that wait are served in turn, and all when it ends', async () => {
  const source = new Source();
  const stream = source.events();
  const asked = [stream.next(), stream.next(), stream.next()];
  source.say(1, 2);
  source.close();
  assert.deepEqual((await Promise.all(asked)).map(({ done, value }) => [done, value?.detail]), [[false, 1], [false, 2], [true, undefined]]);
});

test('a signal ends a stream, and so does who leaves the loop', async () => {
  const source = new Source();
  const over = new AbortController();
  const stream = source.events({ signal: over.signal });
  source.say(1);
  over.abort();
  assert.deepEqual(await all(stream), [], 'what waits is not wanted any more');
  assert.deepEqual(await all(source.events({ signal: AbortSignal.abort() })), []);
  const left = source.events();
  source.say(1, 2);
  for await (const { detail } of left) {
    assert.equal(detail, 1);
    break;
  }
  assert.deepEqual(await left.next(), { done: true, value: undefined });
});

test('a stream that nobody takes from', async (t) => {
  await t.test('ends with an error, after what there was room for', async () => {
    const source = new Source();
    const stream = source.events({ limit: 2 });
    source.say(1, 2, 3, 4);
    assert.equal((await stream.next()).value.detail, 1);
    assert.equal((await stream.next()).value.detail, 2);
    await assert.rejects(stream.next(), { name: 'SignalboxError', code: 'overflow' });
    assert.deepEqual(await stream.next(), { done: true, value: undefined });
  });

  await t.test('or loses the oldest', async () => {
    const source = new Source();
    const stream = source.events({ limit: 2, overflow: 'drop' });
    source.say(1, 2, 3, 4);
    source.close();
    assert.deepEqual(await all(stream), [3, 4]);
  });
});

test('the messages of a topic, over a lost connection, until the room is left', async (t) => {
  const { sessions, me, room, cut } = await joined(t);
  const chat = room.messages('chat');
  const events = room.events({ types: ['message', 'closed'] });
  const say = (/** @type {string} */ topic, /** @type {string} */ data) => sessions.tell('lobby', { event: { type: 'message', from: 'x', topic, data } });
  say('chat', 'one');
  await cut();
  say('whiteboard', 'a line');
  say('chat', 'two');
  await until(() => me.state === 'connected' && room.status === 'joined');
  await room.leave();
  const heard = [];
  for await (const { data } of chat) heard.push(data);
  assert.deepEqual(heard, ['one', 'two']);
  const types = [];
  for await (const { type } of events) types.push(type);
  assert.deepEqual(types, ['message', 'message', 'message', 'closed']);
});

test('Signalbox.connect gives a client that is connected', async (t) => {
  const { gateway } = await setUp(t);
  const client = await Signalbox.connect(gateway.url, { app: 'demo', WebSocket });
  assert.equal(client.state, 'connected');
  const states = client.events({ types: ['state'] });
  client.close();
  assert.deepEqual((await all(states)).map(({ state }) => state), ['closed']);
  await assert.rejects(Signalbox.connect(gateway.url, { app: 'demo', WebSocket, signal: AbortSignal.abort() }), { name: 'AbortError' });
  gateway.handlers.hello = () => undefined;
  const given = new AbortController();
  const connecting = Signalbox.connect(gateway.url, { app: 'demo', WebSocket, signal: given.signal });
  await until(() => gateway.connections.length === 2);
  given.abort();
  await assert.rejects(connecting, { name: 'AbortError' });
  await gateway.latest.closed;
});

test('what is disposed of is left and closed', async (t) => {
  const { gateway, me, room } = await joined(t);
  await room[Symbol.asyncDispose]();
  assert.equal(room.status, 'closed');
  assert.equal(gateway.of('leave').length, 1);
  await me[Symbol.asyncDispose]();
  assert.equal(me.state, 'closed');
});
