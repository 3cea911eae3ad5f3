import { once } from 'node:events';
import { WebSocketServer } from 'ws';
import { Sessions } from './sessions.js';

/**
 * @typedef {import('ws').WebSocket} Socket
 * @typedef {{id: number, type: string, [field: string]: any}} Request
 * @typedef {(request: Request, connection: Connection) => any} Handler returns the reply's ok, or an {@link Refusal},
 *   or undefined for no reply
 */

/** A reply with an error. */
export class Refusal {
  /**
   * @param {string} code
   * @param {object} [more]
   */
  constructor(code, more = {}) {
    this.error = { code, message: code, retryable: false, ...more };
  }
}

/** One connection, as the gateway sees it. */
export class Connection {
  /** @type {Request[]} */
  requests = [];
  #gateway;

  /**
   * @param {FakeGateway} gateway
   * @param {Socket} socket
   * @param {number} number 1 for the first
   */
  constructor(gateway, socket, number) {
    this.#gateway = gateway;
    this.socket = socket;
    this.number = number;
    /** Resolves with the close code. @type {Promise<number>} */
    this.closed = new Promise((resolve) => socket.on('close', resolve));
  }

  get isOpen() {
    return this.socket.readyState === 1;
  }

  /** @param {...object} messages sent in one turn */
  send(...messages) {
    for (const message of messages) {
      if (this.isOpen && !this.#gateway.cuts(this)) this.socket.send(JSON.stringify(message));
    }
  }

  /** @param {string} type */
  of(type) {
    return this.requests.filter((request) => request.type === type);
  }
}

/** Fields of a hello's reply. */
const WELCOME = { app: 'demo', user: 'u', node: 'gateway-1', version: 1, heartbeat: 25_000, time: 1, iceServers: [{ urls: ['stun:stun.example.org'] }] };

/**
 * A gateway that does what a test says: it speaks the protocol's words, and has no rooms.
 */
export class FakeGateway {
  /** @type {Connection[]} */
  connections = [];
  /** Every connection's requests, in the order of arrival. @type {Request[]} */
  requests = [];
  /** @type {Record<string, Handler>} */
  handlers = {
    hello: (_, { number }) => ({ session: `s${number}`, ...WELCOME, ...this.welcome }),
    join: ({ room, state }, { number }) => snapshot({ room, self: `s${number}`, epoch: `e${number}`, state }),
    ping: () => ({ time: 1 }),
    leave: () => ({ seq: 1 }),
  };
  /** Replaces fields of the reply to hello. @type {object} */
  welcome = {};
  /** How many messages have come and gone. */
  steps = 0;
  /** The steps at which a connection is cut instead. @type {Set<number>} */
  cutAt = new Set();
  #seq = 100;

  static async start() {
    const gateway = new FakeGateway();
    await once(gateway.server, 'listening');
    return gateway;
  }

  constructor() {
    this.server = new WebSocketServer({ port: 0, host: '127.0.0.1', path: '/v1/connect' });
    this.server.on('connection', (socket) => {
      const connection = new Connection(this, socket, this.connections.length + 1);
      this.connections.push(connection);
      socket.on('message', (data) => this.#serve(connection, JSON.parse(String(data))));
    });
  }

  get url() {
    return `http://127.0.0.1:${/** @type {import('node:net').AddressInfo} */ (this.server.address()).port}`;
  }

  /** The newest connection. */
  get latest() {
    const latest = this.connections.at(-1);
    if (!latest) throw new Error('no connection yet');
    return latest;
  }

  /** @param {string} type */
  of(type) {
    return this.requests.filter((request) => request.type === type);
  }

  /** Keeps sessions and rooms from now on, so that connections can be lost without loss. */
  keepSessions() {
    return new Sessions(this);
  }

  /**
   * One message more, unless the connection is cut instead.
   *
   * @param {Connection} connection
   */
  cuts({ socket }) {
    this.steps += 1;
    if (!this.cutAt.has(this.steps)) return false;
    socket.terminate();
    return true;
  }

  async stop() {
    for (const client of this.server.clients) client.terminate();
    this.server.close();
    await once(this.server, 'close');
  }

  /**
   * @param {Connection} connection
   * @param {Request} request
   */
  #serve(connection, request) {
    if (!connection.isOpen || this.cuts(connection)) return;
    connection.requests.push(request);
    this.requests.push(request);
    const handler = this.handlers[request.type] ?? (() => ({ seq: ++this.#seq }));
    const reply = handler(request, connection);
    if (reply instanceof Refusal) connection.send({ re: request.id, error: reply.error });
    else if (reply !== undefined) connection.send({ re: request.id, ok: reply });
  }
}

/**
 * A room with oneself (order 2) and Ada (order 1).
 *
 * @param {{[field: string]: any}} [fields]
 */
export function snapshot({ room = 'lobby', self = 's1', epoch = 'e1', seq = 5, state = {}, ...more } = {}) {
  return {
    room, self, epoch, seq, version: 1, capacity: 8, count: 2, locked: false, presenter: null, properties: {}, spotlight: null, created: 1,
    peers: [
      { id: 'ada', order: 1, user: 'ada', name: 'Ada', state: { mic: true } },
      { id: self, order: 2, user: 'u', name: 'Me', state },
    ],
    ...more,
  };
}

/**
 * Waits until a condition holds.
 *
 * @template T
 * @param {() => T} condition
 * @param {string} [what]
 * @returns {Promise<NonNullable<T>>}
 */
export async function until(condition, what = String(condition)) {
  const deadline = performance.now() + 5_000;
  for (;;) {
    const value = condition();
    if (value) return value;
    if (performance.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
