// The stock clients that the tests run, and the ways by which they reach a server.

import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/** One of each generation; protocol is that of Socket.IO. */
export const CLIENTS = [
  { name: '2.0.3', io: require('client-2.0'), protocol: 4 },
  { name: '2.5.0', io: require('client-2.5'), protocol: 4 },
  { name: '3.1.3', io: require('client-3.1'), protocol: 5 },
  { name: '4.x', io: require('client-4'), protocol: 5 },
];

export const WAYS = [
  { name: 'polling only', transports: ['polling'] },
  { name: 'WebSocket only', transports: ['websocket'] },
  { name: 'upgrade', transports: ['polling', 'websocket'] },
];

/** Every client by every way. */
export const COMBINATIONS = CLIENTS.flatMap((client) => WAYS.map((way) => ({
  name: `socket.io-client ${client.name}, ${way.name}`, client, way,
})));

/** How long anything may take, in milliseconds. */
export const PATIENCE = 30_000;

/** Resolves with the arguments of an emitter's next event. */
export function next(emitter, event) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${event} in time`)), PATIENCE);
    emitter.once(event, (...args) => {
      clearTimeout(timer);
      resolve(args);
    });
  });
}

/** Waits until a condition holds that nobody tells of. */
export async function until(what, condition) {
  for (const deadline = performance.now() + PATIENCE; !(await condition());) {
    if (performance.now() > deadline) throw new Error(`${what} did not come`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/**
 * Opens a socket over a connection of its own.
 *
 * @param {typeof COMBINATIONS[number]} combination
 * @param {string} url with the namespace
 * @param {object} [options]
 */
export function dial({ client, way }, url, options = {}) {
  return client.io(url, {
    transports: way.transports, forceNew: true, reconnectionDelay: 10, reconnectionDelayMax: 50, ...options,
  });
}

/** Waits until a socket is connected, and by the last transport of its way. */
export async function arrival(socket, way) {
  if (!socket.connected) await next(socket, 'connect');
  const { engine } = socket.io;
  if (engine.transport.name !== way.transports.at(-1)) await next(engine, 'upgrade');
}
