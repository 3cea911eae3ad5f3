/**
 * Client of the Signalbox signaling cluster.
 *
 * @module @signalbox/client
 */

export { Call } from './call.js';
export { CallChannel } from './channel.js';
export { Signalbox } from './client.js';
export { ConflictError, NotSeatedError, SignalboxError } from './errors.js';
export { Waiting } from './lobby.js';
export { PeerConnection } from './peer-connection.js';
export { Room } from './room.js';
export { spotlightPeer } from './spotlight.js';

/**
 * @typedef {import('./options.js').SignalboxOptions} SignalboxOptions
 * @typedef {import('./options.js').JoinOptions} JoinOptions
 * @typedef {import('./options.js').WaitOptions} WaitOptions
 * @typedef {import('./options.js').ClientState} ClientState
 * @typedef {import('./options.js').ClientEvents} ClientEvents
 * @typedef {import('./call.js').CallOptions} CallOptions
 * @typedef {import('./call.js').CallEvents} CallEvents
 * @typedef {import('./channel.js').ChannelOptions} ChannelOptions
 * @typedef {import('./channel.js').ChannelEvents} ChannelEvents
 * @typedef {import('./errors.js').ErrorCode} ErrorCode
 * @typedef {import('./lobby.js').WaitingEvents} WaitingEvents
 * @typedef {import('./protocol.js').HistoryPage} HistoryPage
 * @typedef {import('./protocol.js').KeptMessage} KeptMessage
 * @typedef {import('./protocol.js').Place} Place
 * @typedef {import('./protocol.js').RoomChanges} RoomChanges
 * @typedef {import('./protocol.js').Spotlight} Spotlight
 * @typedef {import('./request.js').RequestOptions} RequestOptions
 * @typedef {import('./stream.js').StreamOptions} StreamOptions
 * @typedef {import('./statistics.js').PeerStats} PeerStats
 * @typedef {import('./statistics.js').Quality} Quality
 * @typedef {import('./room.js').Peer} Peer
 * @typedef {import('./room.js').Waiter} Waiter
 * @typedef {import('./room.js').RoomEvents} RoomEvents
 * @typedef {import('./room.js').RoomStatus} RoomStatus
 */
