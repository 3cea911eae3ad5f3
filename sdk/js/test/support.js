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
        WebSocket: /** @type {any} */ (WebSocket),
        backoff: { min: 1, max: 5 },
        ...options,
      });
      clients.push(client);
      return client;
    },
  };
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
