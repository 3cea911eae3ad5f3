import { SignalboxError } from './errors.js';

/**
 * @typedef {object} StreamOptions
 * @property {AbortSignal} [signal] ends the stream
 * @property {number} [limit] how many values may wait to be taken, 1024 unless said otherwise
 * @property {'error' | 'drop'} [overflow] what becomes of one more: unless said otherwise the stream ends with an error of the code
 *   `overflow`, since a gap that nobody notices is worse; with `drop` the oldest is thrown away
 */

/** What a stream ends with. @type {{done: true, value: undefined}} */
const DONE = { done: true, value: undefined };

/**
 * What happens, in order, for `for await`. It begins when it is made, not when it is first asked.
 *
 * @template T
 * @implements {AsyncIterableIterator<T>}
 */
export class Stream {
  /** @type {T[]} */
  #waiting = [];
  /** @type {((result: IteratorResult<T, undefined>) => void)[]} */
  #takers = [];
  #limit;
  #drops;
  #ended = false;
  /** @type {Error | undefined} */
  #error;
  #over;
  #signal;
  #abort = () => this.return();

  /**
   * @param {StreamOptions} options
   * @param {(stream: Stream<T>) => void} over told when nothing more is to be pushed
   */
  constructor({ signal, limit = 1024, overflow = 'error' }, over) {
    this.#limit = limit;
    this.#drops = overflow === 'drop';
    this.#over = over;
    this.#signal = signal;
    signal?.addEventListener('abort', this.#abort);
    if (signal?.aborted) this.end();
  }

  /** @param {T} value */
  push(value) {
    if (this.#ended) return;
    const taker = this.#takers.shift();
    if (taker) {
      taker({ done: false, value });
      return;
    }
    if (this.#waiting.length >= this.#limit) {
      if (!this.#drops) {
        this.#error = new SignalboxError('overflow', `more than ${this.#limit} events wait to be taken`);
        this.end();
        return;
      }
      this.#waiting.shift();
    }
    this.#waiting.push(value);
  }

  /** Nothing more comes; what waits is still given. */
  end() {
    if (this.#ended) return;
    this.#ended = true;
    this.#signal?.removeEventListener('abort', this.#abort);
    for (const taker of this.#takers.splice(0)) taker(DONE);
    this.#over(this);
  }

  /** @returns {Promise<IteratorResult<T, undefined>>} */
  async next() {
    if (this.#waiting.length > 0) return { done: false, value: /** @type {T} */ (this.#waiting.shift()) };
    const error = this.#error;
    this.#error = undefined;
    if (error) throw error;
    if (this.#ended) return DONE;
    return new Promise((resolve) => this.#takers.push(resolve));
  }

  /** Ends it at once. @returns {Promise<IteratorResult<T, undefined>>} */
  async return() {
    this.#waiting = [];
    this.#error = undefined;
    this.end();
    return DONE;
  }

  [Symbol.asyncIterator]() {
    return this;
  }
}
