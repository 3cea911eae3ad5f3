/** Where calls wait for a connection. */
export class Gate {
  /** @type {Set<{resolve: () => void, reject: (error: Error) => void}>} */
  #waiters = new Set();

  /**
   * @param {AbortSignal} [signal]
   * @returns {Promise<void>}
   */
  wait(signal) {
    return new Promise((resolve, reject) => {
      const settle = () => {
        this.#waiters.delete(waiter);
        signal?.removeEventListener('abort', abort);
      };
      const waiter = {
        resolve: () => {
          settle();
          resolve();
        },
        reject: (/** @type {Error} */ error) => {
          settle();
          reject(error);
        },
      };
      const abort = () => waiter.reject(signal?.reason);
      signal?.addEventListener('abort', abort, { once: true });
      this.#waiters.add(waiter);
    });
  }

  open() {
    for (const waiter of [...this.#waiters]) waiter.resolve();
  }

  /** @param {Error} error */
  fail(error) {
    for (const waiter of [...this.#waiters]) waiter.reject(error);
  }
}
