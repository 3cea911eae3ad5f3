import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Signalbox, SignalboxError } from '../src/index.js';
import { Refusal, until } from './gateway.js';
import { record, setUp } from './support.js';

test('hello', async (t) => {
  await t.test('anonymous, with app and name', async (t) => {
    const { gateway, client } = await setUp(t);
    const ada = client({ name: 'Ada' });
    const states = record(ada, 'state');
    await ada.connect();
    const [hello] = gateway.of('hello');
    assert.equal(gateway.latest.socket.protocol, 'signalbox.v1');
    assert.deepEqual(hello, { id: 1, type: 'hello', app: 'demo', name: 'Ada', resumable: true, attempt: 1, client: 'sdk-js/0.1.0' });
    assert.deepEqual(states.map(([, { state }]) => state), ['connecting', 'connected']);
    assert.equal(ada.session, 's1');
    assert.equal(ada.node, 'gateway-1');
    assert.deepEqual(ada.iceServers, [{ urls: ['stun:stun.example.org'] }]);
  });

  await t.test('with a token, and nothing that the token says', async (t) => {
    const { gateway, client } = await setUp(t);
    await client({ token: 'jwt', name: 'Ada' }).connect();
    assert.deepEqual(gateway.of('hello')[0], { id: 1, type: 'hello', token: 'jwt', resumable: true, attempt: 1, client: 'sdk-js/0.1.0' });
  });

  await t.test('with a token fetched for each connection', async (t) => {
    const { gateway, client } = await setUp(t);
    let count = 0;
    const ada = client({ getToken: async () => `jwt-${++count}` });
    await ada.connect();
    gateway.latest.socket.terminate();
    await until(() => gateway.of('hello').length === 2);
    assert.deepEqual(gateway.of('hello').map(({ token }) => token), ['jwt-1', 'jwt-2']);
  });

  await t.test('a refusal for good rejects, and nothing comes back', async (t) => {
    const { gateway, client } = await setUp(t);
    gateway.handlers.hello = (_, { socket }) => {
      setTimeout(() => socket.close(4001));
      return new Refusal('unauthorized');
    };
    const ada = client();
    await assert.rejects(ada.connect(), (error) => error instanceof SignalboxError && error.code === 'unauthorized' && !error.retryable);
    assert.equal(ada.state, 'closed');
    assert.equal(gateway.connections.length, 1);
    await assert.rejects(ada.join('lobby'), { code: 'closed' });
  });

  await t.test('a refusal for now is tried again after retryAfter', async (t) => {
    const { gateway, client } = await setUp(t);
    const welcome = gateway.handlers.hello;
    gateway.handlers.hello = (request, connection) => {
      if (connection.number > 1) return welcome(request, connection);
      setTimeout(() => connection.socket.close(4001));
      return new Refusal('unavailable', { retryable: true, retryAfter: 60 });
    };
    const ada = client();
    const states = record(ada, 'state');
    await ada.connect();
    assert.equal(gateway.connections.length, 2);
    assert.equal(states[1][1].delay, 60);
  });

  await t.test('a refused token is replaced, the same one again ends it', async (t) => {
    const { gateway, client } = await setUp(t);
    gateway.handlers.hello = ({ token }, { socket }) => {
      setTimeout(() => socket.close(4001));
      return new Refusal('unauthorized', { message: token });
    };
    const tokens = ['old', 'new', 'new'];
    await assert.rejects(client({ getToken: () => tokens.shift() ?? assert.fail('asked too often') }).connect(), { code: 'unauthorized' });
    assert.deepEqual(gateway.of('hello').map(({ token }) => token), ['old', 'new']);
  });

  await t.test('a token that cannot be fetched is tried again', async (t) => {
    const { client } = await setUp(t);
    let calls = 0;
    const getToken = () => {
      calls += 1;
      if (calls === 1) throw new Error('backend is down');
      return 'jwt';
    };
    await client({ getToken }).connect();
    assert.equal(calls, 2);
  });
});

test('a gateway that cannot be reached is tried until the signal aborts', async (t) => {
  const { gateway, client } = await setUp(t);
  gateway.server.options.verifyClient = () => false;
  const ada = client();
  const states = record(ada, 'state');
  const giveUp = new AbortController();
  const connecting = ada.connect({ signal: giveUp.signal });
  await until(() => states.length >= 4);
  giveUp.abort(new Error('enough'));
  await assert.rejects(connecting, { message: 'enough' });
  assert.equal(ada.state, 'closed');
  assert.deepEqual(new Set(states.map(([, { state }]) => state)), new Set(['connecting', 'closed']));
});

test('connect starts anew after close', async (t) => {
  const { gateway, client } = await setUp(t);
  const ada = client();
  await ada.connect();
  ada.close();
  assert.equal(ada.state, 'closed');
  await ada.connect();
  assert.equal(ada.state, 'connected');
  assert.equal(gateway.connections.length, 2);
});

test('the address may be any way to write the gateway', async (t) => {
  const { gateway, client: _ } = await setUp(t);
  const seen = /** @type {string[]} */ ([]);
  class Spy extends EventTarget {
    readyState = 0;
    /** @param {string} url */
    constructor(url) {
      super();
      seen.push(url);
    }
    close() {}
  }
  for (const url of ['https://gateway.example', 'wss://gateway.example/v1/connect', 'http://gateway.example/rtc/v1/connect#token=x', new URL(gateway.url)]) {
    const client = new Signalbox(url, { WebSocket: /** @type {any} */ (Spy) });
    client.connect().catch(() => {});
    await until(() => seen.length > 0);
    client.close();
    assert.equal(seen.pop(), {
      'https://gateway.example': 'wss://gateway.example/v1/connect',
      'wss://gateway.example/v1/connect': 'wss://gateway.example/v1/connect',
      'http://gateway.example/rtc/v1/connect#token=x': 'ws://gateway.example/rtc/v1/connect',
    }[String(url)] ?? `${gateway.url.replace('http', 'ws')}/v1/connect`);
  }
});
