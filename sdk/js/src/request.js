import { SignalboxError } from './errors.js';

/** @import { Room } from './room.js' */

/** What may have taken effect, and cannot without a seat. Who leaves has no seat either way. */
const SEATED = new Set(['signal', 'publish', 'state', 'room', 'control', 'undo', 'clear']);

/** How a request may be refused that had taken effect before Redis lost its data. */
const LOST_WITH_DATA = new Set(['peer_gone', 'conflict']);

/** What a `leave` is answered with that finds nothing to give up. */
const GONE = new Set(['closed', 'disconnected', 'not_member', 'outcome_unknown']);

/**
 * @typedef {object} RequestOptions
 * @property {AbortSignal} [signal]  gives the request up
 * @property {number} [timeout]      how long to wait for the reply, in milliseconds; a lost connection counts in
 * @property {(ok: any) => any} [accept] turns a reply into the promise's value; called at once, before the next
 *   message is looked at, so that what it sets up misses no event
 * @property {(ok: any) => void} [late] told when the request took effect after it was given up
 */

/**
 * A request on its way from the call to the reply, over as many connections as it takes: a later one sends it again
 * with its old id, by which the gateway knows it.
 */
export class Request {
  /** Given when it is sent for the first time. */
  id = 0;
  /** Whether it was sent before, on an earlier connection. */
  again = false;
  /** Whether it was sent again where the log did not reach back: Redis may have lost that it took effect before. */
  resynced = false;
  /** Whether the caller has been answered, or has given it up. */
  settled = false;
  #body;
  #late;
  /** Where it waits to be sent. @type {Set<Request> | undefined} */
  #place;
  /** @type {(ok: any) => void} */
  #resolve = () => {};
  /** @type {(reason: any) => void} */
  #reject = () => {};

  /**
   * @param {string} type
   * @param {{[field: string]: any}} fields
   * @param {RequestOptions} [options]
   * @param {{once?: boolean, room?: Room}} [kind] `once`: fails when its connection is lost; `room`: needs the seat
   */
  constructor(type, fields, { signal, timeout = 10_000, accept = (ok) => ok, late } = {}, { once = false, room } = {}) {
    this.type = type;
    this.once = once;
    this.room = room;
    this.#body = JSON.stringify({ type, ...fields }).slice(1);
    this.#late = late;
    /** The reply's `ok`, or what `accept` made of it. @type {Promise<any>} */
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = (ok) => {
        try {
          resolve(accept(ok));
        } catch (error) {
          reject(error);
        }
      };
      this.#reject = reject;
    });
    const abort = () => this.fail(signal?.reason);
    const timer = setTimeout(
      () => this.fail(new SignalboxError('timeout', `no reply to ${type} within ${Math.round(timeout)} ms`, { retryable: true })),
      timeout,
    );
    this.#settle = () => {
      this.settled = true;
      this.#place?.delete(this);
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    };
    signal?.addEventListener('abort', abort, { once: true });
    if (signal?.aborted) abort();
  }

  #settle = () => {};

  get text() {
    return `{"id":${this.id},${this.#body}`;
  }

  /**
   * Puts it at the end of those that wait in a place; in none, without one.
   *
   * @param {Set<Request>} [place]
   */
  waitIn(place) {
    this.#place?.delete(this);
    this.#place = this.settled ? undefined : place;
    this.#place?.add(this);
  }

  /** Whether, once sent, it leaves open what became of it when its seat is no more. */
  get leavesOpen() {
    return SEATED.has(this.type);
  }

  /**
   * The gateway has refused it.
   *
   * @param {{code: string}} error
   */
  refuse(error) {
    // The seat, the peer that it was for, or the version that it names may have been there when it was sent first.
    const lost = error.code === 'not_member' || (this.resynced && LOST_WITH_DATA.has(error.code));
    if (lost && this.again && this.leavesOpen) this.fail(outcomeUnknown());
    else this.fail(SignalboxError.fromReply(error));
  }

  /** @param {any} ok */
  succeed(ok) {
    if (this.settled) {
      this.#late?.(ok);
      return;
    }
    this.#settle();
    this.#resolve(ok);
  }

  /** @param {any} reason */
  fail(reason) {
    if (this.settled) return;
    this.#settle();
    this.#reject(reason);
  }
}

export function outcomeUnknown() {
  return new SignalboxError('outcome_unknown', 'the seat, or what is known of it, was lost meanwhile: the request may or may not have taken effect');
}

/**
 * Waits for the reply to a `leave`. Without the session, or without a seat, it is given up as well.
 *
 * @param {Promise<unknown>} reply
 */
export async function givenUp(reply) {
  try {
    await reply;
  } catch (error) {
    if (!GONE.has(/** @type {SignalboxError} */ (error).code)) throw error;
  }
}
