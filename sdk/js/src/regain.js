import { Backoff } from './backoff.js';
import { pause } from './pause.js';

/** @import { SignalboxError } from './errors.js' */

/**
 * Asks for a seat or a place that was lost until there is one, or none to be had.
 *
 * @param {() => boolean} isWanted whether it is still to be asked for
 * @param {() => Promise<unknown>} ask
 * @param {(error: SignalboxError) => void} giveUp told why there is none
 * @param {number} patience how long `room_full` is not believed, in milliseconds: it may be one's own old seat that fills the room
 */
export async function regain(isWanted, ask, giveUp, patience) {
  const patient = performance.now() + patience;
  const backoff = new Backoff({ min: 500, max: 5_000 });
  while (isWanted()) {
    try {
      await ask();
      return;
    } catch (cause) {
      const error = /** @type {SignalboxError} */ (cause);
      if (!isWanted()) return;
      if (error.code === 'disconnected') continue;
      const isOwn = error.code === 'room_full' && performance.now() < patient;
      if (!error.retryable && !isOwn) {
        giveUp(error);
        return;
      }
      await pause(Math.max(error.retryAfter, backoff.next()));
    }
  }
}
