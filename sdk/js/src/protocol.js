/**
 * The native protocol, version 1, as types: what travels between client and gateway. docs/protocol.md is the same
 * in prose.
 */

/** The WebSocket subprotocol of version 1 (RFC 6455, section 1.9). */
export const SUBPROTOCOL = 'signalbox.v1';

/** How the client names itself in `hello`. */
export const CLIENT = 'sdk-js/0.1.0';

/** Close codes of RFC 6455 after which coming back would only repeat the fault. */
const FAULTS = new Set([1002, 1003, 1007, 1008, 1009]);

/**
 * Whether a client must not come back by itself after this close code. Unknown codes are not final: a lost network
 * must not end a session.
 *
 * @param {number} code
 * @returns {boolean}
 */
export function isFinalClose(code) {
  return FAULTS.has(code) || (code >= 4000 && code < 4100);
}

/** The token was refused, or has expired: only another token helps. */
export const CLOSE_UNAUTHORIZED = 4001;
export const CLOSE_EXPIRED = 4005;

/** A later connection has the session. */
export const CLOSE_TAKEN_OVER = 4006;

/** The user or the session was revoked, or the app switched off. */
export const CLOSE_REVOKED = 4007;

/** The gateway drains, or has the session no more. */
export const CLOSE_MOVED = 4100;

/** What a client closes with that will resume on another connection; 1000 would give its seats up. */
export const CLOSE_LOST = 4000;

/**
 * @typedef {string | number | boolean | null | {[key: string]: any} | any[]} JSONValue
 *
 * @typedef {{[key: string]: any}} State a peer's own state, or a change of it, in which null deletes a key
 *
 * @typedef {object} PeerRecord
 * @property {string} id
 * @property {number} order   the order of joining; the higher of two is the polite one
 * @property {string} user
 * @property {string} [name]
 * @property {State} [state]
 * @property {boolean} [away] its connection is lost, its seat is kept
 *
 * @typedef {object} Snapshot
 * @property {string} room
 * @property {string} self
 * @property {string} epoch
 * @property {number} seq
 * @property {number} version
 * @property {number} capacity
 * @property {number} count
 * @property {boolean} locked
 * @property {string | null} [presenter]
 * @property {State} [properties]
 * @property {Spotlight | null} [spotlight]
 * @property {number} [created]
 * @property {PeerRecord[]} peers
 * @property {boolean} [relayOnly] media is to go through TURN servers alone
 * @property {WaiterRecord[]} [queue] who waits for a seat, in order
 * @property {Place} [waiting] one's own place in the queue, where one has no seat; there are no peers then
 *
 * @typedef {object} Place one's own place in a queue
 * @property {number} position from 1
 * @property {number} count    how many wait
 * @property {'full' | 'moderated'} reason `moderated`: a moderator has to let one in
 *
 * @typedef {object} WaiterRecord
 * @property {string} id
 * @property {string} user
 * @property {string} [name]
 * @property {'full' | 'moderated'} [reason]
 * @property {boolean} [away] its connection is lost, its place is kept
 *
 * @typedef {object} HeadCount
 * @property {string} room
 * @property {number} count
 * @property {number} capacity
 *
 * @typedef {object} KeptMessage
 * @property {number} seq
 * @property {string} [from] the sender's peer id, who may have left; absent: the app itself, as are the next two
 * @property {string} [user]
 * @property {string} [name]
 * @property {number} time   Unix milliseconds
 * @property {any} data
 *
 * @typedef {object} HistoryPage
 * @property {string} room
 * @property {string} topic
 * @property {number} seq       what comes after it is told by events
 * @property {string} epoch
 * @property {number} [dropped] how many older messages are not kept any more
 * @property {KeptMessage[]} messages the oldest first
 *
 * @typedef {object} Spotlight
 * @property {number} start    Unix milliseconds of the gateway's clock
 * @property {number} interval milliseconds
 * @property {string[]} order  peer ids
 *
 * @typedef {object} Limits
 * @property {number} messageBytes
 * @property {number} requestsPerSecond
 * @property {number} requestsBurst
 * @property {number} rooms
 * @property {number} stateBytes
 * @property {number} inFlight
 *
 * @typedef {object} Welcome
 * @property {string} session
 * @property {string} app
 * @property {string} user
 * @property {string} [name]
 * @property {string} node
 * @property {number} version
 * @property {number} heartbeat milliseconds
 * @property {number} time      Unix milliseconds of the gateway's clock
 * @property {RTCIceServer[]} [iceServers]
 * @property {Partial<Limits>} [limits]
 * @property {string} [resume] the token that a later connection resumes the session with
 * @property {number} [grace]  how long seats are kept without a connection, in milliseconds
 * @property {boolean} [resumed] the session goes on
 * @property {Record<string, RoomResult>} [rooms] what became of the rooms that `hello` named
 *
 * @typedef {object} RoomResult
 * @property {'replayed' | 'resync' | 'waiting' | 'gone'} result `replayed`: what was missed follows as events; `resync`: a
 *   snapshot follows; `waiting`: the place in the queue is kept, and follows; `gone`: there is no seat any more
 * @property {number} [request] the highest id of the client's requests that took effect
 *
 * @typedef {object} Position the last event of a room that the client has seen
 * @property {string} epoch
 * @property {number} seq
 *
 * @typedef {object} RoomEvent
 * @property {string} type
 * @property {string} room
 * @property {number} seq  undefined where the gateway itself has closed the seat
 *
 * @typedef {{type: string, [field: string]: any}} ServerEvent
 *
 * @typedef {object} RoomChanges
 * @property {number} [capacity]
 * @property {boolean} [locked]
 * @property {string | null} [presenter]
 * @property {State} [properties]
 * @property {Spotlight | {start?: number, interval: number, order: string[]} | null} [spotlight] from now on, without `start`
 *
 * @typedef {object} ICEReport the outcome of one connection to a peer
 * @property {string} peer
 * @property {'connected' | 'failed' | 'disconnected'} outcome
 * @property {number} [ms] since the negotiation began; with `again` since it was lost; of `disconnected` how long it was there
 * @property {string} [local]    candidate type; of a failure the farthest that there was
 * @property {string} [remote]   candidate type
 * @property {string} [protocol] udp, tcp or tls: of a relay the one by which it is reached
 * @property {string} [reason]   of a failure: ice, dtls, negotiation, or another word
 * @property {boolean} [again]   it had been connected before
 * @property {number} [restarts] how often ICE was restarted since the report before
 */
