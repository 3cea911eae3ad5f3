/**
 * What a client is made with, what its methods take, and what it tells, as types.
 */

/** @import { SignalboxError } from './errors.js' */
/** @import { WebSocketConstructor } from './link.js' */
/** @import { Place, State } from './protocol.js' */

/**
 * @typedef {object} SignalboxOptions
 * @property {string} [token] a JWT of the app's backend
 * @property {() => string | Promise<string>} [getToken] fetches a JWT for each session, and for one whose token is about to expire;
 *   preferred over `token`, which expires
 * @property {string} [app]  without a token: an app that lets anonymous clients in
 * @property {string} [name] the display name, without a token
 * @property {WebSocketConstructor} [WebSocket] where the platform has none
 * @property {{min?: number, max?: number, healthy?: number, random?: () => number}} [backoff] see {@link Backoff}
 * @property {number} [openTimeout] how long a handshake and its hello may take each, in milliseconds
 *
 * @typedef {'connecting' | 'connected' | 'reconnecting' | 'closed'} ClientState
 *
 * @typedef {object} StateDetail
 * @property {ClientState} state
 * @property {boolean} [resumed] with `connected`: the session goes on, with its seats
 * @property {SignalboxError} [error] why it is not connected
 * @property {number} [delay]   until the next attempt, in milliseconds; absent if that is under way
 *
 * @typedef {object} ClientEvents
 * @property {StateDetail} state
 * @property {{retryAfter: number, deadline: number}} goaway the gateway drains; the client moves by itself
 * @property {{iceServers: RTCIceServer[]}} ice fresh ICE servers
 * @property {{at: number}} expiring the token expires then, by the gateway's clock: with `getToken` it is refreshed by itself
 * @property {{expires: number}} refreshed the session goes on with another token until then
 * @property {{online: boolean}} network the browser has another network; with `online` it had none before
 * @property {{error: unknown}} refresh-failed there was no other token, or it was refused; it is tried again
 *
 * @typedef {object} JoinOptions
 * @property {State} [state]      one's own first state
 * @property {number} [capacity]  seats of the room, if this join makes it and the token allows it
 *
 * @typedef {object} WaitOptions
 * @property {boolean} [wait] wait in the queue where there is no seat, or where a moderator has to let one in. It may take any time:
 *   `signal` ends it, and gives the place up
 * @property {(place: Place) => void} [onPosition] told the place in the queue, and every change of it
 */

export {};
