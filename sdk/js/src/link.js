import { SignalboxError } from './errors.js';
import { SUBPROTOCOL } from './protocol.js';

/** @import { Limits, ServerEvent } from './protocol.js' */

/**
 * @typedef {object} RequestOptions
 * @property {AbortSignal} [signal]  gives the request up
 * @property {number} [timeout]      how long to wait for the reply, in milliseconds
 * @property {(ok: any) => any} [accept] turns a reply into the promise's value; called at once, before the next
 *   message is looked at, so that what it sets up misses no event
 * @property {(ok: any) => void} [late] told when the request took effect after it was given up
 *
 * @typedef {object} Request
 * @property {number} id
 * @property {string} text
 * @property {boolean} settled
 * @property {(ok: any) => void} ok
 * @property {(error: Error) => void} fail
 *
 * @typedef {object} End how a connection ended
 * @property {number} code     WebSocket close code; 1006 where there was no closing handshake
 * @property {string} reason
 * @property {number} lasted   how long it was open, in milliseconds
 *
 * @typedef {new (url: string, protocols?: string | string[]) => WebSocket} WebSocketConstructor
 */

/** Limits until the gateway has told its own in the reply to hello. */
const FIRST_LIMITS = { messageBytes: 65536, requestsPerSecond: 50, requestsBurst: 100, inFlight: 64 };

/** Pings that stay unanswered until the connection is given up. */
const MISSED_PINGS = 2;

/**
 * One WebSocket from its opening to its end: numbers the requests, matches the replies, keeps the gateway's limits
 * on rate and requests in flight, and notices silence. A link is used once; {@link Signalbox} makes the next.
 */
export class Link {
  /** @type {WebSocket} */
  #socket;
  #onEvent;
  /** @type {Map<number, Request>} sent, without a reply */
  #sent = new Map();
  /** @type {Request[]} waiting for a free place */
  #queue = [];
  #lastID = 0;
  #limits = FIRST_LIMITS;
  #tokens = FIRST_LIMITS.requestsBurst;
  #tokensAt = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #pumpTimer;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #pingTimer;
  #missed = 0;
  #heardAt = 0;
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
   * @param {(event: ServerEvent) => void} options.onEvent
   */
  constructor(url, { WebSocket, openTimeout, onEvent }) {
    this.#onEvent = onEvent;
    /** Resolves with how the connection ended; never rejects. @type {Promise<End>} */
    this.closed = new Promise((resolve) => (this.#resolveClosed = resolve));
    this.#socket = new WebSocket(url, SUBPROTOCOL);
    const timer = setTimeout(() => this.close(4000, 'no handshake in time'), openTimeout);
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
   * Sends a request as soon as the limits allow it.
   *
   * @param {string} type
   * @param {object} fields
   * @param {RequestOptions} [options]
   * @returns {Promise<any>} the reply's `ok`, or what `accept` made of it
   */
  request(type, fields, { signal, timeout = 10_000, accept = (ok) => ok, late } = {}) {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      if (this.ended) {
        reject(disconnected());
        return;
      }
      const id = ++this.#lastID;
      const text = JSON.stringify({ id, type, ...fields });
      if (tooLong(text, this.#limits.messageBytes)) {
        // The gateway would close the connection over it, for good.
        reject(new SignalboxError('too_large', `a message of type ${type} is over ${this.#limits.messageBytes} bytes`));
        return;
      }
      const settle = () => {
        request.settled = true;
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
      };
      const giveUp = (/** @type {any} */ reason) => {
        settle();
        this.#queue = this.#queue.filter((waiting) => waiting !== request);
        reject(reason);
      };
      /** @type {Request} */
      const request = {
        id,
        text,
        settled: false,
        ok: (ok) => {
          if (request.settled) {
            late?.(ok);
            return;
          }
          settle();
          try {
            resolve(accept(ok));
          } catch (error) {
            reject(error);
          }
        },
        fail: (error) => {
          if (!request.settled) {
            settle();
            reject(error);
          }
        },
      };
      const abort = () => giveUp(signal?.reason);
      signal?.addEventListener('abort', abort, { once: true });
      const timer = setTimeout(
        () => giveUp(new SignalboxError('timeout', `no reply to ${type} within ${timeout} ms`, { retryable: true })),
        timeout,
      );
      this.#queue.push(request);
      this.#pump();
    });
  }

  /**
   * Asks for a sign of life, and ends the connection if none comes in time: for moments in which the network has
   * probably changed.
   *
   * @param {number} deadline milliseconds
   */
  probe(deadline) {
    const asked = performance.now();
    this.#ping(deadline).catch(() => {
      if (this.#heardAt < asked) this.close(4000, 'no sign of life');
    });
  }

  /**
   * Ends the connection now, without waiting for the other side.
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
    const { requestsPerSecond, requestsBurst, inFlight } = this.#limits;
    const now = performance.now();
    this.#tokens = Math.min(requestsBurst, this.#tokens + ((now - this.#tokensAt) * requestsPerSecond) / 1000);
    this.#tokensAt = now;
    while (this.#queue.length > 0 && this.#sent.size < inFlight && this.#tokens >= 1) {
      const request = /** @type {Request} */ (this.#queue.shift());
      this.#tokens -= 1;
      this.#sent.set(request.id, request);
      this.#socket.send(request.text);
    }
    if (this.#queue.length > 0 && this.#tokens < 1 && this.#pumpTimer === undefined) {
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
    if (this.ended || typeof data !== 'string') return;
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
      if (message.error) request.fail(SignalboxError.fromReply(message.error));
      else request.ok(message.ok);
      this.#pump();
    } else if (typeof message.type === 'string') {
      this.#onEvent(message);
    }
  }

  /** @param {number} heartbeat */
  #beat(heartbeat) {
    if (this.#missed >= MISSED_PINGS) {
      this.close(4000, 'no sign of life');
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
    const waiting = [...this.#sent.values(), ...this.#queue];
    this.#sent.clear();
    this.#queue = [];
    for (const request of waiting) request.fail(disconnected(code));
    this.#resolveClosed(this.#end);
  }
}

/** @param {number} [closeCode] */
function disconnected(closeCode) {
  return new SignalboxError('disconnected', 'the connection to the gateway is lost', { retryable: true, closeCode });
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
