import { SignalboxError } from './errors.js';
import { CLOSE_LOST, SUBPROTOCOL } from './protocol.js';
import { Request } from './request.js';

/** @import { Limits, ServerEvent } from './protocol.js' */
/** @import { RequestOptions } from './request.js' */

/**
 * @typedef {object} End how a connection ended
 * @property {number} code     WebSocket close code; 1006 where there was no closing handshake
 * @property {string} reason
 * @property {number} lasted   how long it was open, in milliseconds
 *
 * @typedef {object} WebSocketLike what is used of a WebSocket: the platform's, or that of the package ws
 * @property {number} readyState
 * @property {(data: string) => void} send
 * @property {(code?: number, reason?: string) => void} close
 * @property {(type: 'open' | 'message' | 'close' | 'error', listener: (event: any) => void) => void} addEventListener
 *
 * @typedef {new (url: string, protocols?: string | string[]) => WebSocketLike} WebSocketConstructor
 */

/**
 * The part of the gateway's rate that is used when there is always something to send. With all of it the gateway, whose clock and network are
 * others, would find the client just over its rate all the time, and close the connection as a flood.
 */
const PACE = 0.9;

/** Limits until the gateway has told its own in the reply to hello. */
const FIRST_LIMITS = { messageBytes: 65536, requestsPerSecond: 50, requestsBurst: 100, inFlight: 64 };

/** Pings that stay unanswered until the connection is given up. */
const MISSED_PINGS = 2;

/**
 * One WebSocket from its opening to its end: sends the requests, matches the replies, keeps the gateway's limits on
 * rate and requests in flight, and notices silence. A link is used once; {@link Signalbox} makes the next, and gives
 * it the requests that have got no reply here.
 */
export class Link {
  /** @type {WebSocketLike} */
  #socket;
  #nextID;
  #onEvent;
  /** Sent, without a reply, by id. @type {Map<number, Request>} */
  #sent = new Map();
  /** Those that wait for a free place. @type {Set<Request>} */
  #queue = new Set();
  #limits = FIRST_LIMITS;
  #tokens = FIRST_LIMITS.requestsBurst;
  #tokensAt = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #pumpTimer;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #pingTimer;
  #missed = 0;
  #heardAt = 0;
  #probing = false;
  #released = false;
  /** @type {End | undefined} */
  #end;
  #openedAt = 0;
  /** @type {(end: End) => void} */
  #resolveClosed = () => {};

  /**
   * Starts to connect.
   *
   * @param {string} url
   * @param {object} options
   * @param {WebSocketConstructor} options.WebSocket
   * @param {number} options.openTimeout how long the handshake may take, in milliseconds
   * @param {() => number} options.nextID numbers the requests that have no number yet
   * @param {(event: ServerEvent) => void} options.onEvent
   */
  constructor(url, { WebSocket, openTimeout, nextID, onEvent }) {
    this.#nextID = nextID;
    this.#onEvent = onEvent;
    /** Resolves with how the connection ended; never rejects. @type {Promise<End>} */
    this.closed = new Promise((resolve) => (this.#resolveClosed = resolve));
    this.#socket = new WebSocket(url, SUBPROTOCOL);
    const timer = setTimeout(() => this.close(CLOSE_LOST, 'no handshake in time'), openTimeout);
    /** Resolves when requests can be sent, or when it ended before. @type {Promise<void>} */
    this.opened = new Promise((resolve) => {
      this.#socket.addEventListener('open', () => {
        clearTimeout(timer);
        this.#openedAt = performance.now();
        resolve();
      });
      this.closed.then(() => {
        clearTimeout(timer);
        resolve();
      });
    });
    this.#socket.addEventListener('message', (event) => this.#receive(event.data));
    this.#socket.addEventListener('close', (event) => this.#finish(event.code || 1006, event.reason || ''));
    // The close event that follows tells all there is to know.
    this.#socket.addEventListener('error', () => {});
  }

  /** Whether the connection has ended. */
  get ended() {
    return this.#end !== undefined;
  }

  /**
   * Takes over what the gateway told in the reply to hello, and starts to watch for silence.
   *
   * @param {Partial<Limits>} limits
   * @param {number} heartbeat milliseconds
   */
  establish(limits, heartbeat) {
    this.#limits = { ...FIRST_LIMITS, ...limits };
    this.#tokens = Math.min(this.#tokens, this.#limits.requestsBurst);
    if (heartbeat > 0 && !this.ended) {
      this.#pingTimer = setInterval(() => this.#beat(heartbeat), heartbeat);
    }
  }

  /**
   * Sends a request as soon as the limits allow it, after those that were given before.
   *
   * @param {Request} request
   */
  submit(request) {
    if (this.ended) {
      request.fail(disconnected());
      return;
    }
    request.waitIn(this.#queue);
    this.#pump();
  }

  /**
   * Sends what belongs to this connection alone.
   *
   * @param {string} type
   * @param {object} fields
   * @param {RequestOptions} options
   * @returns {Promise<any>}
   */
  request(type, fields, options) {
    const request = new Request(type, fields, options, { once: true });
    this.submit(request);
    return request.promise;
  }

  /**
   * Gives up the requests that have no reply, in the order in which another connection is to send them. From now on
   * this one tells nothing, be it open or not.
   *
   * @returns {Request[]}
   */
  release() {
    this.#released = true;
    clearTimeout(this.#pumpTimer);
    clearInterval(this.#pingTimer);
    this.#failOnce();
    const unanswered = [...this.#sent.values(), ...this.#queue].filter(({ settled }) => !settled);
    this.#sent.clear();
    for (const request of unanswered) request.waitIn();
    return unanswered;
  }

  /**
   * Asks for a sign of life, and ends the connection if none comes in time: for moments in which the network has
   * probably changed.
   *
   * @param {number} deadline milliseconds
   */
  async probe(deadline) {
    if (this.#probing) return;
    this.#probing = true;
    const asked = performance.now();
    try {
      await this.#ping(deadline);
    } catch {
      if (this.#heardAt < asked && !this.#released) this.close(CLOSE_LOST, 'no sign of life');
    } finally {
      this.#probing = false;
    }
  }

  /**
   * Ends the connection now, without waiting for the other side. 1000 gives the session up, anything else can be
   * resumed.
   *
   * @param {number} [code]
   * @param {string} [reason]
   */
  close(code = 1000, reason = '') {
    this.#socket.close(code, reason);
    // A dead network would hold the close event back for long; codes of our own stay ours.
    this.#finish(code === 1000 ? 1000 : 1006, reason);
  }

  /** Sends what the limits allow, and comes back for the rest. */
  #pump() {
    if (this.ended || this.#socket.readyState !== 1) return;
    const { messageBytes, requestsBurst, inFlight } = this.#limits;
    const requestsPerSecond = this.#limits.requestsPerSecond * PACE;
    const now = performance.now();
    this.#tokens = Math.min(requestsBurst, this.#tokens + ((now - this.#tokensAt) * requestsPerSecond) / 1000);
    this.#tokensAt = now;
    for (const request of this.#queue) {
      if (this.#sent.size >= inFlight || this.#tokens < 1) break;
      request.waitIn();
      request.again = request.id > 0;
      request.id ||= this.#nextID();
      const { text } = request;
      if (tooLong(text, messageBytes)) {
        // The gateway would close the connection over it, for good.
        request.fail(new SignalboxError('too_large', `a message of type ${request.type} is over ${messageBytes} bytes`));
        continue;
      }
      this.#tokens -= 1;
      this.#sent.set(request.id, request);
      this.#socket.send(text);
    }
    if (this.#queue.size > 0 && this.#tokens < 1 && this.#pumpTimer === undefined) {
      this.#pumpTimer = setTimeout(
        () => {
          this.#pumpTimer = undefined;
          this.#pump();
        },
        Math.ceil(((1 - this.#tokens) * 1000) / requestsPerSecond),
      );
    }
  }

  /** @param {unknown} data */
  #receive(data) {
    this.#missed = 0;
    this.#heardAt = performance.now();
    if (this.ended || this.#released || typeof data !== 'string') return;
    /** @type {any} */
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return;
    }
    if (typeof message !== 'object' || message === null) return;
    if ('re' in message) {
      const request = this.#sent.get(message.re);
      if (request === undefined) return;
      this.#sent.delete(message.re);
      if (message.error) request.refuse(message.error);
      else request.succeed(message.ok);
      this.#pump();
    } else if (typeof message.type === 'string') {
      this.#onEvent(message);
    }
  }

  /** @param {number} heartbeat */
  #beat(heartbeat) {
    if (this.#missed >= MISSED_PINGS) {
      this.close(CLOSE_LOST, 'no sign of life');
      return;
    }
    this.#missed += 1;
    this.#ping(heartbeat * MISSED_PINGS).catch(() => {});
  }

  /** @param {number} timeout */
  #ping(timeout) {
    return this.request('ping', {}, { timeout });
  }

  /**
   * @param {number} code
   * @param {string} reason
   */
  #finish(code, reason) {
    if (this.#end) return;
    this.#end = { code, reason, lasted: this.#openedAt === 0 ? 0 : performance.now() - this.#openedAt };
    clearTimeout(this.#pumpTimer);
    clearInterval(this.#pingTimer);
    this.#failOnce();
    this.#resolveClosed(this.#end);
  }

  /** Fails what no other connection can send. */
  #failOnce() {
    for (const request of [...this.#sent.values(), ...this.#queue]) {
      if (request.once) request.fail(disconnected(this.#end?.code));
    }
  }
}

/** @param {number} [closeCode] */
export function disconnected(closeCode) {
  return new SignalboxError('disconnected', 'the connection to the gateway is lost', { retryable: true, closeCode });
}

/**
 * Where a gateway takes connections.
 *
 * @param {string | URL} given
 * @returns {string}
 */
export function connectURL(given) {
  const url = new URL(given);
  url.protocol = { 'http:': 'ws:', 'https:': 'wss:' }[url.protocol] ?? url.protocol;
  if (url.pathname === '/') url.pathname = '/v1/connect';
  url.hash = '';
  return url.href;
}

const encoder = new TextEncoder();

/**
 * Whether a text is over a number of bytes as UTF-8.
 *
 * @param {string} text
 * @param {number} limit
 */
function tooLong(text, limit) {
  // A code unit is one to three bytes: most texts need no counting.
  if (text.length * 3 <= limit) return false;
  return text.length > limit || encoder.encode(text).byteLength > limit;
}
