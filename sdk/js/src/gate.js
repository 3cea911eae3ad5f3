import { SignalboxError } from './errors.js';

/** @import { Link } from './link.js' */

/** Where calls wait for a connection. */
export class Gate {
  /** @type {Set<{resolve: (link: Link) => void, reject: (error: Error) => void}>} */
  #waiters = new Set();

  /**
   * @param {AbortSignal} [signal]
   * @param {number} [timeout] milliseconds; without it, without end
   * @returns {Promise<Link>}
   */
  wait(signal, timeout) {
    return new Promise((resolve, reject) => {
      /** @type {ReturnType<typeof setTimeout> | undefined} */
      let timer;
      const settle = () => {
        this.#waiters.delete(waiter);
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
      };
      const waiter = {
        resolve: (/** @type {Link} */ link) => {
          settle();
          resolve(link);
        },
        reject: (/** @type {Error} */ error) => {
          settle();
          reject(error);
        },
      };
      const abort = () => waiter.reject(signal?.reason);
      if (timeout !== undefined) {
        const error = new SignalboxError('timeout', 'no connection to the gateway in time', { retryable: true });
        timer = setTimeout(() => waiter.reject(error), timeout);
      }
      signal?.addEventListener('abort', abort, { once: true });
      this.#waiters.add(waiter);
    });
  }

  /** @param {Link} link */
  open(link) {
    for (const waiter of [...this.#waiters]) waiter.resolve(link);
  }

  /** @param {Error} error */
  fail(error) {
    for (const waiter of [...this.#waiters]) waiter.reject(error);
  }
}
