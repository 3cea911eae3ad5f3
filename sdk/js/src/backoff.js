/**
 * Delays between attempts to connect: exponential with full jitter, so that the clients of a gateway that went away
 * come back spread out and not all at once.
 */
export class Backoff {
  #attempt = 0;
  #min;
  #max;
  #random;

  /**
   * @param {object} [options]
   * @param {number} [options.min] upper end of the first delay, in milliseconds
   * @param {number} [options.max] upper end of every delay, in milliseconds
   * @param {number} [options.healthy] how long a connection must last for the delays to start over, in milliseconds
   * @param {() => number} [options.random] a number from 0 up to 1
   */
  constructor({ min = 500, max = 30_000, healthy = 30_000, random = Math.random } = {}) {
    this.#min = min;
    this.#max = Math.max(min, max);
    this.#random = random;
    this.healthy = healthy;
  }

  /** How many delays were taken since the last reset. */
  get attempt() {
    return this.#attempt;
  }

  /** The next delay, in milliseconds. */
  next() {
    const ceiling = Math.min(this.#max, this.#min * 2 ** Math.min(this.#attempt, 30));
    this.#attempt += 1;
    return this.#random() * ceiling;
  }

  reset() {
    this.#attempt = 0;
  }
}
