import assert from 'node:assert/strict';
import { WebSocket } from 'ws';
import { Signalbox } from '../src/index.js';
import { FakeGateway } from './gateway.js';

/**
 * A gateway and a way to make clients of it, all ended after the test.
 *
 * @param {import('node:test').TestContext} t
 */
export async function setUp(t) {
  const gateway = await FakeGateway.start();
  /** @type {Signalbox[]} */
  const clients = [];
  t.after(async () => {
    for (const client of clients) client.close();
    await gateway.stop();
  });
  return {
    gateway,
    /** @param {import('../src/index.js').SignalboxOptions} [options] */
    client(options) {
      const client = new Signalbox(gateway.url, {
        app: 'demo',
        WebSocket,
        backoff: { min: 1, max: 5 },
        ...options,
      });
      clients.push(client);
      return client;
    },
  };
}

/** Never comes back by itself. */
export const NEVER = { min: 3_600_000, max: 3_600_000, random: () => 1 };

/**
 * A client in a room of a gateway that keeps sessions.
 *
 * @param {import('node:test').TestContext} t
 * @param {import('../src/index.js').SignalboxOptions} [options]
 */
export async function joined(t, options) {
  const { gateway, client } = await setUp(t);
  const sessions = gateway.keepSessions();
  const me = client(options);
  await me.connect();
  const room = await me.join('lobby', { state: { mic: true } });
  // Timers of one duration fire in their order: after the room's, events are told as they come.
  await new Promise((resolve) => setTimeout(resolve, 0));
  /** Cuts the connection and waits until the client has noticed. */
  const cut = async () => {
    gateway.latest.socket.terminate();
    assert.equal((await next(me, 'state')).state, 'reconnecting');
  };
  return { gateway, sessions, me, room, cut };
}

/**
 * What a target tells, in order: `[type, detail]`.
 *
 * @param {EventTarget} target
 * @param {...string} types
 * @returns {[string, any][]}
 */
export function record(target, ...types) {
  /** @type {[string, any][]} */
  const events = [];
  for (const type of types) {
    target.addEventListener(type, (event) => events.push([type, /** @type {CustomEvent} */ (event).detail]));
  }
  return events;
}

/**
 * The detail of the next event: for what lasts too briefly to be polled for.
 *
 * @param {EventTarget} target
 * @param {string} type
 * @returns {Promise<any>}
 */
export function next(target, type) {
  return new Promise((resolve) => {
    target.addEventListener(type, (event) => resolve(/** @type {CustomEvent} */ (event).detail), { once: true });
  });
}

/**
 * What was said.
 *
 * @param {[string, any][]} events
 */
export const texts = (events) => events.map(([, { data }]) => data);
