import { SignalboxError } from './errors.js';

/** Where a client's tokens come from, and which of them counts. */
export class Tokens {
  #getToken;
  /** The last one that was given out. @type {string | undefined} */
  #current;
  /** @type {string | undefined} */
  #refused;

  /** @param {{token?: string, getToken?: () => string | Promise<string>}} options */
  constructor({ token, getToken }) {
    this.#current = token;
    this.#getToken = getToken;
  }

  /** The one to say hello with; undefined for an anonymous client. */
  get current() {
    return this.#current;
  }

  /** Whether there may be others. */
  get haveSource() {
    return this.#getToken !== undefined;
  }

  /** Gets the one for the next session. */
  async next() {
    if (!this.#getToken) return;
    this.#current = await this.fetch();
    if (this.#current === this.#refused) throw new SignalboxError('unauthorized', 'the token was refused, and there is no other');
  }

  /**
   * Asks the source.
   *
   * @returns {Promise<string>}
   */
  async fetch() {
    if (!this.#getToken) throw new SignalboxError('unauthorized', 'there is no getToken to ask for another token');
    try {
      return await this.#getToken();
    } catch (error) {
      if (error instanceof SignalboxError) throw error;
      throw new SignalboxError('unauthorized', 'no token', { retryable: true, cause: error });
    }
  }

  /** The gateway does not take the current one. */
  refuse() {
    this.#refused = this.#current;
  }

  /**
   * The gateway has taken a token.
   *
   * @param {string} [token] another one than the current
   */
  accept(token) {
    this.#refused = undefined;
    if (token !== undefined) this.#current = token;
  }
}
