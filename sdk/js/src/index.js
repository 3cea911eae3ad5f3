/**
 * Client of the Signalbox signaling cluster.
 *
 * @module @signalbox/client
 */

export { Call } from './call.js';
export { Signalbox } from './client.js';
export { SignalboxError } from './errors.js';
export { PeerConnection } from './peer-connection.js';
export { Room } from './room.js';
export { spotlightPeer } from './spotlight.js';

/**
 * @typedef {import('./client.js').SignalboxOptions} SignalboxOptions
 * @typedef {import('./client.js').JoinOptions} JoinOptions
 * @typedef {import('./client.js').ClientState} ClientState
 * @typedef {import('./client.js').ClientEvents} ClientEvents
 * @typedef {import('./call.js').CallOptions} CallOptions
 * @typedef {import('./call.js').CallEvents} CallEvents
 * @typedef {import('./request.js').RequestOptions} RequestOptions
 * @typedef {import('./room.js').Peer} Peer
 * @typedef {import('./room.js').RoomEvents} RoomEvents
 * @typedef {import('./room.js').RoomStatus} RoomStatus
 */
