/** Where calls wait for a connection. */
export class Gate {
  /** @type {Set<(failed: boolean, error?: unknown) => void>} */
  #waiters = new Set();

  /**
   * @param {AbortSignal} [signal]
   * @returns {Promise<void>}
   */
  wait(signal) {
    return new Promise((resolve, reject) => {
      const settle = (/** @type {boolean} */ failed, /** @type {unknown} */ error) => {
        this.#waiters.delete(settle);
        signal?.removeEventListener('abort', abort);
        if (failed) reject(error);
        else resolve();
      };
      const abort = () => settle(true, signal?.reason);
      signal?.addEventListener('abort', abort);
      this.#waiters.add(settle);
    });
  }

  open() {
    for (const settle of [...this.#waiters]) settle(false);
  }

  /** @param {Error} error */
  fail(error) {
    for (const settle of [...this.#waiters]) settle(true, error);
  }
}
