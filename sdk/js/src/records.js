/**
 * What a room knows, made of what travels, and merged with what changes.
 */

/** @import { PeerRecord, RoomChanges, Spotlight, State, WaiterRecord } from './protocol.js' */
/** @import { Peer, Waiter } from './room.js' */

/**
 * @param {PeerRecord} record
 * @returns {Peer}
 */
export function toPeer({ id, order, user, name = '', state = {}, away = false }) {
  return Object.freeze({ id, order, user, name, state: Object.freeze({ ...state }), away });
}

/**
 * @param {WaiterRecord} record
 * @returns {Waiter}
 */
export function toWaiter({ id, user, name = '', reason = 'full', away = false }) {
  return Object.freeze({ id, user, name, reason, away });
}

/**
 * Refuses what is nobody: one who is gone must not become everybody.
 *
 * @param {string | {id: string}} who
 * @returns {string}
 */
export function idOf(who) {
  const id = typeof who === 'object' ? who?.id : who;
  if (typeof id !== 'string' || id === '') throw new TypeError('neither a peer nor the id of one');
  return id;
}

/**
 * What one may say of oneself: the rest is the moderators'.
 *
 * @param {Readonly<State>} state
 * @returns {State}
 */
export function ownState({ mutedAudio: _audio, mutedVideo: _video, ...state }) {
  return state;
}

/**
 * What is known of a change before its event: not when a rotation begins that begins now.
 *
 * @param {RoomChanges} changes
 * @returns {RoomChanges & {spotlight?: Spotlight | null}}
 */
export function known({ spotlight, ...changes }) {
  if (spotlight === undefined || (spotlight !== null && spotlight.start === undefined)) return changes;
  return { ...changes, spotlight: /** @type {Spotlight | null} */ (spotlight) };
}

/**
 * Merges by top-level key; null deletes.
 *
 * @param {State} state
 * @param {State} patch
 * @returns {Readonly<State>}
 */
export function merge(state, patch) {
  const kept = Object.entries({ ...state, ...patch }).filter(([, value]) => value !== null && value !== undefined);
  return Object.freeze(Object.fromEntries(kept));
}

/**
 * @template {object} T
 * @param {T} object
 * @returns {Partial<T>} without the fields that are undefined
 */
export function defined(object) {
  return /** @type {Partial<T>} */ (Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)));
}

/**
 * What was said about an event, if anything was.
 *
 * @param {{[field: string]: any}} event
 * @returns {{text?: string}}
 */
export function said({ text }) {
  return text ? { text } : {};
}
