import { ConflictError, SignalboxError } from './errors.js';
import { TypedTarget } from './events.js';
import { idOf, known, merge } from './records.js';

/** @import { RoomChanges, Snapshot, Spotlight, State } from './protocol.js' */
/** @import { RequestOptions } from './request.js' */
/** @import { Peer, Room, RoomEvents, RoomPort, RoomStatus, Waiter } from './room.js' */

/**
 * @typedef {object} Waits how long to wait for something
 * @property {AbortSignal} [signal]
 * @property {number} [timeout] milliseconds
 */

/**
 * The room itself: what it is like, and what its moderators do. {@link Room} is this with a seat in it.
 *
 * @extends {TypedTarget<RoomEvents>}
 */
export class ModeratedRoom extends TypedTarget {
  /** @internal */
  _port;
  /** @internal */
  _name;
  /** @internal @type {RoomStatus} */
  _status = 'joined';
  /** The last event told: those at or below it are not told again. @internal */
  _seen = 0;
  /** The last snapshot: changes at or below it are in it already. @internal */
  _known = 0;
  #version = 0;
  #capacity = 0;
  #locked = false;
  #relayOnly = false;
  /** @type {string | null} */
  #presenter = null;
  /** @type {Readonly<State>} */
  #properties = Object.freeze({});
  /** @type {Spotlight | null} */
  #spotlight = null;

  /**
   * @param {RoomPort} port
   * @param {string} name
   */
  constructor(port, name) {
    super();
    this._port = port;
    this._name = name;
  }

  get name() {
    return this._name;
  }

  /** Whether the seat is held; `rejoining` from a lost connection until it is known again. Requests wait then. */
  get status() {
    return this._status;
  }

  get capacity() {
    return this.#capacity;
  }

  get locked() {
    return this.#locked;
  }

  /** Whether the app asks that media goes through TURN servers alone: a {@link Call} does so by itself. */
  get relayOnly() {
    return this.#relayOnly;
  }

  get properties() {
    return this.#properties;
  }

  /** The presenter's peer id. */
  get presenter() {
    return this.#presenter;
  }

  get spotlight() {
    return this.#spotlight;
  }

  /** The version that `update` is made for. */
  get version() {
    return this.#version;
  }

  /** The number of the last event. */
  get seq() {
    return Math.max(this._seen, this._known);
  }

  /**
   * Changes the room, for moderators. Another's change in between is a {@link ConflictError}.
   *
   * @param {RoomChanges} changes
   * @param {RequestOptions} [options]
   * @returns {Promise<number>} the room's new version
   */
  async update(changes, options) {
    const accept = (/** @type {{seq: number, version: number, repeated?: boolean}} */ ok) => {
      // The event, or a snapshot, has come before a repeated reply, which may not know the version any more.
      if (ok.repeated) return ok.version || this.#version;
      // The event may come later, but the next update is made for this version.
      if (ok.seq > this.seq) this._applyChanges(ok.version, known(changes));
      return ok.version;
    };
    return this._request('room', { version: this.#version, ...changes }, { ...options, accept });
  }

  /**
   * Changes the room by what it is, for moderators: when somebody else was faster, `change` is asked again for the room as it is then.
   *
   * @param {(room: Room) => RoomChanges | undefined} change what to change; undefined for nothing
   * @param {Waits} [options]
   * @returns {Promise<number>} the room's version
   */
  async edit(change, { signal, timeout = 10_000 } = {}) {
    const deadline = performance.now() + timeout;
    for (;;) {
      const changes = change(/** @type {any} */ (this));
      if (!changes) return this.#version;
      const version = this.#version;
      try {
        return await this.update(changes, { signal, timeout: deadline - performance.now() });
      } catch (error) {
        if (!(error instanceof ConflictError) || error.version === undefined) throw error;
        await this.#anotherVersion(version, error, { signal, timeout: deadline - performance.now() });
      }
    }
  }

  /**
   * Makes a peer the presenter, or nobody; for moderators. With `from` only as long as that one, or with null nobody, presents:
   * of several who want to take over at once one does, and the others get a {@link ConflictError}.
   *
   * @param {string | Peer | null} peer
   * @param {{from?: string | Peer | null} & Waits} [options]
   * @returns {Promise<number>} the room's version
   */
  async setPresenter(peer, { from, ...options } = {}) {
    const presenter = peer === null ? null : idOf(peer);
    const expected = from === null || from === undefined ? from : idOf(from);
    return this.edit(({ presenter: present, version }) => {
      if (expected !== undefined && present !== expected) {
        throw new ConflictError(`the presenter is ${present ?? 'nobody'}, and not ${expected ?? 'nobody'}`, { version });
      }
      return { presenter };
    }, options);
  }

  /**
   * Lets nobody in any more but moderators; for moderators.
   *
   * @param {Waits} [options]
   */
  async lock(options) {
    await this.edit(() => ({ locked: true }), options);
  }

  /** @param {Waits} [options] */
  async unlock(options) {
    await this.edit(() => ({ locked: false }), options);
  }

  /**
   * Changes the number of seats, for moderators. Nobody loses a seat; who waits gets one that is more.
   *
   * @param {number} capacity
   * @param {Waits} [options]
   */
  async setCapacity(capacity, options) {
    await this.edit(() => ({ capacity }), options);
  }

  /**
   * What moderators do to one peer or, without `to`, to everybody but oneself. The methods below are this one in words.
   *
   * @param {'mute' | 'unmute' | 'kick' | 'admit' | 'deny' | 'close'} action
   * @param {{kind?: 'audio' | 'video', to?: string | Peer | Waiter, text?: string} & RequestOptions} [options] `text` is what
   *   those who are kicked, or in a room that is closed, are told about it
   * @returns {Promise<number | undefined>} how many peers it affected, if that is still known after a lost connection
   */
  async control(action, { kind, to, text, ...options } = {}) {
    const target = to === undefined ? undefined : idOf(to);
    const { affected, repeated } = await this._request('control', { action, kind, to: target, text }, options);
    return repeated ? affected || undefined : affected;
  }

  /**
   * Mutes a peer. It is noted in the peer's state, as `mutedAudio` or `mutedVideo`: its page has to heed it.
   *
   * @param {string | Peer} peer
   * @param {'audio' | 'video'} kind
   * @param {RequestOptions} [options]
   */
  async mute(peer, kind, options) {
    return this.control('mute', { ...options, kind, to: idOf(peer) });
  }

  /**
   * @param {string | Peer} peer
   * @param {'audio' | 'video'} kind
   * @param {RequestOptions} [options]
   */
  async unmute(peer, kind, options) {
    return this.control('unmute', { ...options, kind, to: idOf(peer) });
  }

  /**
   * Mutes everybody but oneself.
   *
   * @param {'audio' | 'video'} kind
   * @param {RequestOptions} [options]
   */
  async muteAll(kind, options) {
    return this.control('mute', { ...options, kind });
  }

  /**
   * @param {'audio' | 'video'} kind
   * @param {RequestOptions} [options]
   */
  async unmuteAll(kind, options) {
    return this.control('unmute', { ...options, kind });
  }

  /**
   * Takes a peer's seat away.
   *
   * @param {string | Peer} peer
   * @param {{text?: string} & RequestOptions} [options]
   */
  async kick(peer, options) {
    return this.control('kick', { ...options, to: idOf(peer) });
  }

  /** Takes everybody's seat away but one's own. @param {{text?: string} & RequestOptions} [options] */
  async kickAll(options) {
    return this.control('kick', options);
  }

  /**
   * Lets somebody in who waits to be let in. Where every seat is taken it waits for one from then on.
   *
   * @param {string | Waiter} waiter
   * @param {RequestOptions} [options]
   */
  async admit(waiter, options) {
    return this.control('admit', { ...options, to: idOf(waiter) });
  }

  /** @param {RequestOptions} [options] */
  async admitAll(options) {
    return this.control('admit', options);
  }

  /**
   * Sends somebody away who waits.
   *
   * @param {string | Waiter} waiter
   * @param {RequestOptions} [options]
   */
  async deny(waiter, options) {
    return this.control('deny', { ...options, to: idOf(waiter) });
  }

  /** @param {RequestOptions} [options] */
  async denyAll(options) {
    return this.control('deny', options);
  }

  /**
   * Ends the room for everybody, oneself too.
   *
   * @param {{text?: string} & RequestOptions} [options]
   * @returns {Promise<number | undefined>} how many seats that were
   */
  async end(options) {
    return this.control('close', options);
  }

  /**
   * @internal
   * @param {Snapshot} snapshot
   */
  _is(snapshot) {
    this._known = snapshot.seq;
    this.#version = snapshot.version;
    this.#capacity = snapshot.capacity;
    this.#locked = snapshot.locked ?? false;
    this.#relayOnly = snapshot.relayOnly ?? false;
    this.#presenter = snapshot.presenter ?? null;
    this.#properties = Object.freeze({ ...snapshot.properties });
    this.#spotlight = snapshot.spotlight ?? null;
  }

  /**
   * What has changed.
   *
   * @internal
   * @param {number} version
   * @param {RoomChanges & {spotlight?: Spotlight | null}} changes
   */
  _applyChanges(version, { capacity, locked, presenter, properties, spotlight }) {
    this.#version = version;
    if (capacity !== undefined) this.#capacity = capacity;
    if (locked !== undefined) this.#locked = locked;
    if (presenter !== undefined) this.#presenter = presenter;
    if (properties !== undefined) this.#properties = merge(this.#properties, properties);
    if (spotlight !== undefined) this.#spotlight = spotlight;
  }

  /**
   * @internal
   * @param {string} type
   * @param {object} fields
   * @param {RequestOptions} [options]
   */
  _request(type, fields, options) {
    if (this._status === 'closed') return Promise.reject(new SignalboxError('closed', 'the room is closed'));
    return this._port.request(/** @type {any} */ (this), type, { room: this._name, ...fields }, options);
  }

  /**
   * Waits until the room has another version.
   *
   * @param {number} version
   * @param {ConflictError} conflict what comes of it if that takes too long
   * @param {Waits} waits
   * @returns {Promise<void>}
   */
  async #anotherVersion(version, conflict, { signal, timeout }) {
    const changes = this.stream(({ type }) => type === 'changed' || type === 'resync' || undefined, { signal });
    const timer = setTimeout(() => changes.return?.(), timeout);
    while (this.#version === version && !(await changes.next()).done);
    clearTimeout(timer);
    changes.return?.();
    signal?.throwIfAborted();
    if (this._status === 'closed') throw new SignalboxError('closed', 'the room is closed');
    if (this.#version === version) throw conflict;
  }

  /**
   * @internal
   * @param {RoomStatus} status
   */
  _setStatus(status) {
    if (this._status === status) return;
    this._status = status;
    this.emit('status', { status });
  }
}
