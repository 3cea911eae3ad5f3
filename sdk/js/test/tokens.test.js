import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Refusal, until } from './gateway.js';
import { next, record, setUp } from './support.js';

test('a session goes on under another token', async (t) => {
  await t.test('by itself when its own is about to expire', async (t) => {
    const { gateway, client } = await setUp(t);
    gateway.welcome = { resume: 'sealed', grace: 30_000 };
    gateway.handlers.refresh = () => ({ expires: 99, resume: 'sealed anew' });
    let fetched = 0;
    const ada = client({ getToken: () => `token ${(fetched += 1)}` });
    await ada.connect();
    const told = record(ada, 'expiring', 'refreshed', 'state');
    gateway.latest.send({ type: 'expiring', at: 50 });
    await until(() => told.length === 2);
    assert.deepEqual(told, [['expiring', { at: 50 }], ['refreshed', { expires: 99 }]]);
    assert.deepEqual(gateway.of('refresh').map(({ token }) => token), ['token 2']);
    gateway.latest.socket.terminate();
    await until(() => gateway.of('hello').length >= 2);
    assert.equal(gateway.of('hello')[1].resume, 'sealed anew', 'the last one that came');
  });

  await t.test('as often as it takes', async (t) => {
    const { gateway, client } = await setUp(t);
    let refused = 0;
    gateway.handlers.refresh = () => ((refused += 1) < 2 ? new Refusal('unauthorized') : { expires: 99 });
    let fetched = 0;
    const ada = client({
      getToken: () => {
        fetched += 1;
        if (fetched === 2) throw new Error('no backend');
        return `token ${fetched}`;
      },
    });
    await ada.connect();
    const told = record(ada, 'refresh-failed', 'refreshed');
    gateway.latest.send({ type: 'expiring', at: 50 });
    await until(() => told.length === 3);
    assert.deepEqual(told.map(([type, { error }]) => [type, error?.code]), [
      ['refresh-failed', 'unauthorized'], ['refresh-failed', 'unauthorized'], ['refreshed', undefined],
    ]);
    assert.deepEqual(gateway.of('refresh').map(({ token }) => token), ['token 3', 'token 4']);
  });

  await t.test('by hand, and begins the next one with it', async (t) => {
    const { gateway, client } = await setUp(t);
    gateway.handlers.refresh = ({ token }) => (token === 'good' ? { expires: 99 } : new Refusal('unauthorized'));
    const ada = client({ token: 'first' });
    await ada.connect();
    const told = record(ada, 'expiring', 'refreshed');
    gateway.latest.send({ type: 'expiring', at: 50 });
    await until(() => told.length === 1);
    await assert.rejects(ada.refresh('bad'), { code: 'unauthorized' });
    await assert.rejects(ada.refresh(), { code: 'unauthorized' });
    assert.equal(await ada.refresh('good'), 99);
    gateway.latest.socket.terminate();
    await until(() => gateway.of('hello').length === 2);
    assert.deepEqual(gateway.of('hello').map(({ token }) => token), ['first', 'good']);
  });
});

test('a revoked session is over', async (t) => {
  const { gateway, client } = await setUp(t);
  const ada = client();
  await ada.connect();
  const state = next(ada, 'state');
  gateway.latest.socket.close(4007);
  const { state: now, error } = await state;
  assert.deepEqual([now, error.code, error.closeCode], ['closed', 'revoked', 4007]);
});

test('the gateway\'s time', async (t) => {
  const { gateway, client } = await setUp(t);
  gateway.welcome = { time: 1_000_000 };
  const ada = client();
  assert.ok(Math.abs(ada.now() - Date.now()) < 1_000);
  await ada.connect();
  const now = ada.now();
  assert.ok(now >= 1_000_000 && now < 1_010_000, `${now}`);
});
