/**
 * @template Detail
 * @typedef {((event: CustomEvent<Detail>) => void) | {handleEvent(event: CustomEvent<Detail>): void} | null} Listener
 */

/**
 * An EventTarget whose events are CustomEvents with known details.
 *
 * @template {Record<string, any>} Events event name to the type of `event.detail`
 */
export class TypedTarget extends EventTarget {
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
    return this.dispatchEvent(new CustomEvent(type, { ...options, detail }));
  }
}
