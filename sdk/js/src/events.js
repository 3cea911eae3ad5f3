import { Stream } from './stream.js';

/** @import { StreamOptions } from './stream.js' */

/**
 * @template Detail
 * @typedef {((event: CustomEvent<Detail>) => void) | {handleEvent(event: CustomEvent<Detail>): void} | null} Listener
 */

/**
 * One of the events: its `type` says what its `detail` is.
 *
 * @template {Record<string, any>} Events
 * @template {keyof Events} [K=keyof Events]
 * @typedef {{[Type in K]: CustomEvent<Events[Type]> & {readonly type: Type}}[K]} EventOf
 */

/**
 * An EventTarget whose events are CustomEvents with known details.
 *
 * @template {Record<string, any>} Events event name to the type of `event.detail`
 */
export class TypedTarget extends EventTarget {
  /** @type {Map<Stream<any>, (event: any) => unknown>} */
  #streams = new Map();

  /**
   * @template {keyof Events & string} K
   * @param {K} type
   * @param {Listener<Events[K]>} listener
   * @param {AddEventListenerOptions | boolean} [options]
   * @override
   */
  addEventListener(type, listener, options) {
    super.addEventListener(type, /** @type {EventListener | null} */ (listener), options);
  }

  /**
   * @template {keyof Events & string} K
   * @param {K} type
   * @param {Listener<Events[K]>} listener
   * @param {EventListenerOptions | boolean} [options]
   * @override
   */
  removeEventListener(type, listener, options) {
    super.removeEventListener(type, /** @type {EventListener | null} */ (listener), options);
  }

  /**
   * The events from now on, for `for await`, until the target is closed. Listeners are told before.
   *
   * @template {keyof Events & string} [K=keyof Events & string]
   * @param {{types?: readonly K[]} & StreamOptions} [options] `types`: these alone
   * @returns {AsyncIterableIterator<EventOf<Events, K>>}
   */
  events({ types, ...options } = {}) {
    return this.stream((event) => (!types || types.includes(event.type) ? event : undefined), options);
  }

  /**
   * What is picked of the events from now on.
   *
   * @protected
   * @template T
   * @param {(event: any) => T | undefined} pick
   * @param {StreamOptions} options
   * @returns {AsyncIterableIterator<T>}
   */
  stream(pick, options) {
    /** @type {Stream<T>} */
    const stream = new Stream(options, (ended) => this.#streams.delete(ended));
    if (!options.signal?.aborted) this.#streams.set(stream, pick);
    return stream;
  }

  /**
   * The last event was told.
   *
   * @protected
   */
  endStreams() {
    for (const stream of [...this.#streams.keys()]) stream.end();
  }

  /**
   * Tells the listeners, before it returns.
   *
   * @protected
   * @template {keyof Events & string} K
   * @param {K} type
   * @param {Events[K]} detail
   * @param {{cancelable?: boolean}} [options]
   * @returns {boolean} false if a listener has called preventDefault()
   */
  emit(type, detail, options) {
    const event = new CustomEvent(type, { ...options, detail });
    const allowed = this.dispatchEvent(event);
    for (const [stream, pick] of [...this.#streams]) {
      const picked = pick(event);
      if (picked !== undefined) stream.push(picked);
    }
    return allowed;
  }
}
