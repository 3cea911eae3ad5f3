/**
 * What happens to the page or the worker that a client runs in.
 *
 * @param {AbortSignal} signal ends it
 * @param {object} told
 * @param {() => void} told.nudge the network has probably come back, or changed
 * @param {(online: boolean) => void} told.changed it certainly has: with `online` there was none before
 * @param {() => void} told.away the page is put away, and may be shown again
 * @param {() => void} told.gone the page is thrown away
 */
export function watchPage(signal, { nudge, changed, away, gone }) {
  const target = /** @type {any} */ (globalThis);
  const listen = (/** @type {any} */ from, /** @type {string} */ type, /** @type {(event: any) => void} */ listener) => {
    from?.addEventListener?.(type, listener, { signal });
  };
  const { document } = target;
  const network = target.navigator?.connection;
  let kind = network?.type;
  listen(target, 'online', () => changed(true));
  // It tells of every new estimate of its speed as well.
  listen(network, 'change', () => (network.type === kind ? nudge() : changed(false), (kind = network.type)));
  listen(document, 'visibilitychange', () => document.visibilityState === 'visible' && nudge());
  listen(target, 'pageshow', ({ persisted }) => persisted && nudge());
  // A page that may be shown again is not kept with a connection: its session is resumed then. One that is thrown away comes back
  // as another session: its seats are not to be kept.
  listen(target, 'pagehide', ({ persisted }) => (persisted ? away() : gone()));
}
