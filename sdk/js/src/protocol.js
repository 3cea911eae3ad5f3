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
 *
 * @typedef {object} RoomEvent
 * @property {string} type
 * @property {string} room
 * @property {number} seq
 *
 * @typedef {{type: string, [field: string]: any}} ServerEvent
 *
 * @typedef {object} RoomChanges
 * @property {number} [capacity]
 * @property {boolean} [locked]
 * @property {string | null} [presenter]
 * @property {State} [properties]
 * @property {Spotlight | null} [spotlight]
 *
 * @typedef {object} ICEReport the outcome of one connection to a peer
 * @property {string} peer
 * @property {'connected' | 'failed' | 'disconnected'} outcome
 * @property {number} [ms] since the negotiation began
 * @property {string} [local]    candidate type
 * @property {string} [remote]   candidate type
 * @property {string} [protocol] udp, tcp or tls
 * @property {string} [reason]
 */
