/** @import { Spotlight } from './protocol.js' */

/**
 * Gives the peer whose turn it is in a rotation. The server tells nobody: every client computes it, so that all see the same one at the
 * same time. Where the peer whose turn it is has left, it is the next one in the order who is there.
 *
 * @param {Spotlight} spotlight
 * @param {number} now Unix milliseconds of the gateway's clock: what it said in `time` of its replies to hello and ping, and how long ago that was
 * @param {(peer: string) => boolean} here whether a peer is in the room
 * @returns {string | null} a peer's id; null when nobody of the order is there
 */
export function spotlightPeer({ start, interval, order }, now, here) {
  const turn = Math.floor(Math.max(now - start, 0) / interval) % order.length;
  for (let i = 0; i < order.length; i += 1) {
    const peer = order[(turn + i) % order.length];
    if (here(peer)) return peer;
  }
  return null;
}
