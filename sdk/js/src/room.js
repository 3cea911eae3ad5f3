import { pages } from './history.js';
import { ModeratedRoom } from './moderation.js';
import { defined, idOf, merge, ownState, said, toPeer, toWaiter } from './records.js';
import { givenUp } from './request.js';

/** @import { HistoryPage, ICEReport, JSONValue, Position, RoomChanges, RoomEvent, Snapshot, State } from './protocol.js' */
/** @import { RequestOptions } from './request.js' */
/** @import { StreamOptions } from './stream.js' */

/**
 * @typedef {object} Peer somebody's seat, as it was when you asked: a change makes a new object
 * @property {string} id
 * @property {number} order of joining; of two peers the one with the higher order is the polite one
 * @property {string} user
 * @property {string} name
 * @property {Readonly<State>} state
 * @property {boolean} away its connection is lost, its seat is kept
 *
 * @typedef {object} Waiter somebody who waits for a seat
 * @property {string} id
 * @property {string} user
 * @property {string} name
 * @property {'full' | 'moderated'} reason `moderated`: until a moderator lets it in
 * @property {boolean} away its connection was lost when the room's snapshot was made
 *
 * @typedef {'joined' | 'rejoining' | 'closed'} RoomStatus
 *
 * @typedef {object} Closing
 * @property {'left' | 'moved' | 'kicked' | 'closed' | 'expired' | 'replaced' | 'lost'} reason `left`: by oneself; `moved`: for
 *   another room; `kicked` and `closed`: by a moderator or the server; `expired`: the room's time is over; `replaced`: the same
 *   user has come in anew; `lost`: the seat could not be kept or taken again
 * @property {string} [by] the moderator's peer id
 * @property {string} [text] what was said about it, for people
 * @property {Error} [error] with `lost`
 *
 * @typedef {object} RoomEvents
 * @property {{peer: Peer}} peer-joined
 * @property {{peer: Peer, reason: string, by?: string, text?: string}} peer-left
 * @property {{peer: Peer, changes: State}} peer-state its state changed, or it went away or came back
 * @property {{from: string, peer: Peer | undefined, data: any, seq: number}} signal
 * @property {{from?: string, peer: Peer | undefined, topic: string, data: any, volatile: boolean, seq: number, kept?: boolean, time?: number}} message
 *   without `from` it is the app's own; with `kept` it is in the history, and has the time in Unix milliseconds
 * @property {{topic: string, of: number, by?: string}} undone a kept message was taken back: number `of`
 * @property {{topic: string, by?: string}} cleared all kept messages of the topic were taken back
 * @property {{waiter: Waiter}} waiter-joined somebody waits for a seat, at the end of the queue
 * @property {{waiter: Waiter, reason: 'seated' | 'left' | 'disconnected' | 'denied' | 'expired'}} waiter-left somebody waits no more
 * @property {{by?: string, changes: RoomChanges}} changed
 * @property {{action: string, kind?: string, to?: string, by?: string}} control
 * @property {{target: string}} move the app asks for a move to another room; the client goes by itself, unless preventDefault() is called
 * @property {{room: Room}} moved one has a seat in the other room, and is about to leave this one
 * @property {{target: string, error: unknown}} move-failed the other room gives no seat: one stays
 * @property {Closing} closed the seat is given up, or was taken
 * @property {{snapshot: Snapshot, newSeat: boolean}} resync what was known is replaced by a snapshot, messages in between
 *   are not known; with `newSeat` one is a new peer to the others
 * @property {{status: RoomStatus}} status
 *
 * @typedef {object} RoomPort what a room needs of its client
 * @property {(room: Room, type: string, fields: object, options?: RequestOptions) => Promise<any>} request
 * @property {(room: Room, closing: Closing) => void} forget
 * @property {(name: string, options: {state: State}) => Promise<Room>} join
 * @property {(name: string) => boolean} has whether one has a seat in a room
 */

/** State keys that moderators write, by the kind of media. */
const MUTED = /** @type {Record<string, string>} */ ({ audio: 'mutedAudio', video: 'mutedVideo' });

/**
 * A seat in a room: who is there, what the room is like, and what is sent through it. It stays the same object across
 * lost connections, until 'closed'.
 */
export class Room extends ModeratedRoom {
  #selfID = '';
  #epoch = '';
  /**
   * Events that came before the application could add its listeners, or before the snapshot of another seat; undefined
   * when events are told as they come.
   *
   * @type {RoomEvent[] | undefined}
   */
  #early = [];
  /** Whether the seat is lost, and another one is asked for. */
  #unseated = false;
  /** @type {Map<string, Peer>} */
  #peers = new Map();
  /** @type {Map<string, Waiter>} */
  #queue = new Map();

  /**
   * Rooms are made by `client.join`.
   *
   * @param {RoomPort} port
   * @param {Snapshot} snapshot
   */
  constructor(port, snapshot) {
    super(port, snapshot.room);
    this.#take(snapshot);
    this._seen = snapshot.seq;
    // `await client.join()` resumes in a microtask, so after the next task the application has its listeners.
    const first = this.#early;
    setTimeout(() => {
      if (this.#early === first) this.#tellEarly();
    });
  }

  /** One's own seat. */
  get self() {
    return /** @type {Peer} */ (this.#peers.get(this.#selfID));
  }

  /** Everybody, oneself included, by id, in the order of joining. @returns {ReadonlyMap<string, Peer>} */
  get peers() {
    return this.#peers;
  }

  /** Those who wait for a seat, by id, in order. @returns {ReadonlyMap<string, Waiter>} */
  get queue() {
    return this.#queue;
  }

  /** Names this life of the room: another epoch counts from 1 again. */
  get epoch() {
    return this.#epoch;
  }

  /**
   * Sends to one peer.
   *
   * @param {string | Peer} peer
   * @param {{[key: string]: any}} data
   * @param {{offer?: boolean, answers?: number} & RequestOptions} [options] `offer`: the data asks for an answer; `answers`: the number of
   *   the peer's offer that it answers. When a later one has come meanwhile, it is refused with `stale`
   * @returns {Promise<number>} the event's number
   */
  async signal(peer, data, { offer, answers, ...options } = {}) {
    return (await this._request('signal', { to: idOf(peer), offer, answers, data }, options)).seq;
  }

  /**
   * Sends to everybody else.
   *
   * @param {JSONValue} data
   * @param {{topic?: string, echo?: boolean, volatile?: boolean, keep?: boolean} & RequestOptions} [options] `echo`: to oneself too;
   *   `volatile`: at most once, for what is soon out of date; `keep`: for those who join later, with the topic `chat` or `whiteboard`
   * @returns {Promise<number>} the event's number
   */
  async publish(data, { topic, echo, volatile, keep, ...options } = {}) {
    return (await this._request('publish', { topic, data, echo, volatile, keep }, options)).seq;
  }

  /**
   * The messages from now on, for `for await`, until the room is closed.
   *
   * @param {string} [topic] those of a topic; all without it
   * @param {StreamOptions} [options]
   * @returns {AsyncIterableIterator<RoomEvents['message']>}
   */
  messages(topic, options = {}) {
    return this.stream(({ type, detail }) => {
      return type === 'message' && (topic === undefined || detail.topic === topic) ? detail : undefined;
    }, options);
  }

  /**
   * What is kept of a topic, in pages: the newest page first, and in each the oldest message first. What comes after the first
   * page's `seq` is told by 'message'; what came as such before may be in the page as well, with the same `seq`.
   *
   * @param {'chat' | 'whiteboard'} topic
   * @param {{limit?: number, before?: number} & RequestOptions} [options] `limit`: messages of a page, 100 unless said otherwise;
   *   `before`: begins with what is older than the message of that number
   * @returns {AsyncGenerator<HistoryPage, void, void>}
   */
  history(topic, { limit, before, ...options } = {}) {
    return pages((fields) => this._request('history', { topic, ...fields }, options), { limit, before });
  }

  /**
   * Takes a kept message of a topic back: one's own last one, or number `of`, which has to be one's own unless one moderates.
   *
   * @param {'chat' | 'whiteboard'} topic
   * @param {{of?: number} & RequestOptions} [options]
   * @returns {Promise<number | undefined>} the message's number; undefined if there was none, or if it is not known any more
   *   after a lost connection
   */
  async undo(topic, { of, ...options } = {}) {
    return (await this._request('undo', { topic, of }, options)).of || undefined;
  }

  /**
   * Takes all kept messages of a topic back: the whiteboard whoever may publish, the chat moderators.
   *
   * @param {'chat' | 'whiteboard'} topic
   * @param {RequestOptions} [options]
   * @returns {Promise<number>} the event's number
   */
  async clear(topic, options) {
    return (await this._request('clear', { topic }, options)).seq;
  }

  /**
   * Merges into one's own state; null deletes a key.
   *
   * @param {State} patch
   * @param {RequestOptions} [options]
   * @returns {Promise<number>} the event's number
   */
  async setState(patch, options) {
    const accept = (/** @type {{seq: number}} */ ok) => {
      // The server tells the others alone.
      this.#changePeer(this.#selfID, { state: merge(this.self.state, patch) }, patch);
      return ok.seq;
    };
    return this._request('state', { state: patch }, { ...options, accept });
  }

  /**
   * Tells the operators how connecting to a peer went.
   *
   * @param {ICEReport} outcome
   * @param {RequestOptions} [options]
   */
  async report(outcome, options) {
    await this._request('report', outcome, options);
  }

  /**
   * Gives the seat up. The room is closed at once; the promise waits for the gateway's reply.
   *
   * @param {RequestOptions} [options]
   */
  async leave(options) {
    await this.#giveUp('left', options);
  }

  /** Leaves, at the end of a block with `await using`. */
  async [Symbol.asyncDispose]() {
    await this.leave();
  }

  /**
   * An event of this room, from the client.
   *
   * @internal
   * @param {RoomEvent} event
   */
  _event(event) {
    // What the gateway says of a seat before it has given this one is about an earlier seat.
    if (this.#unseated && event.seq === undefined) return;
    if (this.#early) this.#early.push(event);
    else this.#handle(event);
  }

  /**
   * Where a resumed session goes on.
   *
   * @internal
   * @returns {Position}
   */
  get _position() {
    // Below the last snapshot, messages may be missing still.
    return { epoch: this.#epoch, seq: this._seen };
  }

  /**
   * The snapshot of a later join.
   *
   * @internal
   * @param {Snapshot} snapshot
   */
  _rejoined(snapshot) {
    const { id, order } = this.self;
    const epoch = this.#epoch;
    this.#take(snapshot);
    const newSeat = this.self.id !== id || this.self.order !== order || this.#epoch !== epoch;
    // With the same seat, messages at or below the snapshot may still be on their way.
    if (newSeat || this.#unseated) this._seen = snapshot.seq;
    this._setStatus('joined');
    this.emit('resync', { snapshot, newSeat });
    if (this.#unseated) this.#tellEarly();
  }

  /**
   * The connection is lost.
   *
   * @internal
   */
  _lost() {
    this._setStatus('rejoining');
  }

  /**
   * The session is resumed, and all that was missed follows.
   *
   * @internal
   */
  _resumed() {
    this._setStatus('joined');
  }

  /**
   * The seat is lost, and another one is asked for.
   *
   * @internal
   */
  _unseated() {
    this.#unseated = true;
    this.#early = [];
    this._setStatus('rejoining');
  }

  /**
   * @internal
   * @param {Closing} closing
   */
  _close(closing) {
    if (this._status === 'closed') return;
    this._port.forget(this, closing);
    this._setStatus('closed');
    this.emit('closed', closing);
    this.endStreams();
  }

  /**
   * @param {'left' | 'moved'} reason
   * @param {RequestOptions} [options]
   */
  async #giveUp(reason, options) {
    if (this._status === 'closed') return;
    const reply = this._request('leave', {}, options);
    this._close({ reason });
    await givenUp(reply);
  }

  /**
   * Goes to another room, which gives a seat before this one is left.
   *
   * @param {string} target
   */
  async #move(target) {
    if (target === this._name || !this.emit('move', { target }, { cancelable: true })) return;
    const wasThere = this._port.has(target);
    try {
      const room = await this._port.join(target, { state: ownState(this.self.state) });
      if (this._status === 'closed') { // one has left meanwhile
        if (!wasThere) await room.leave();
        return;
      }
      this.emit('moved', { room });
    } catch (error) {
      this.emit('move-failed', { target, error });
      return;
    }
    this.#giveUp('moved').catch(() => {}); // it is closed here; the gateway gives the seat up with the session at the latest
  }

  #tellEarly() {
    const early = this.#early ?? [];
    this.#early = undefined;
    this.#unseated = false;
    for (const event of early) this.#handle(event);
  }

  /** @param {RoomEvent & {[field: string]: any}} event */
  #handle(event) {
    if (this._status === 'closed') return;
    if (event.type === 'resync') {
      const newSeat = event.self !== this.#selfID;
      const snapshot = /** @type {any} */ (event);
      this.#take(snapshot);
      this._seen = event.seq;
      this._setStatus('joined');
      this.emit('resync', { snapshot, newSeat });
      return;
    }
    if (event.type === 'closed' && event.seq === undefined) {
      this.#change(event); // by the gateway itself, not by an event of the room
      return;
    }
    if (!(event.seq > this._seen)) return;
    this._seen = event.seq;
    const { type, from, topic, data, by, seq } = event;
    const peer = this.#peers.get(from);
    if (type === 'signal') {
      this.emit(type, { from, peer, data, seq });
    } else if (type === 'message') {
      const { kept, time, volatile = false } = event;
      this.emit(type, { from, peer, topic: topic ?? '', data, volatile, seq, ...(kept && { kept: true, time }) });
    } else if (type === 'undone') {
      this.emit(type, { topic, of: event.of, by });
    } else if (type === 'cleared') {
      this.emit(type, { topic, by });
    } else if (type === 'control' && event.action === 'move') {
      if (event.to === this.#selfID) this.#move(event.target);
    } else if (seq > this._known) {
      this.#change(event);
    }
  }

  /** @param {RoomEvent & {[field: string]: any}} event */
  #change(event) {
    switch (event.type) {
      case 'joined-peer': {
        const peer = toPeer(event.peer);
        this.#noMoreWaits(peer.id, 'seated');
        // A seat that Redis had lost is put back, and told again.
        const known = this.#peers.get(peer.id)?.order === peer.order;
        this.#peers.set(peer.id, peer);
        if (known) this.emit('peer-state', { peer, changes: {} });
        else this.emit('peer-joined', { peer });
        break;
      }
      case 'left-peer': {
        const peer = this.#peers.get(event.peer);
        if (peer && this.#peers.delete(event.peer)) {
          this.emit('peer-left', { peer, reason: event.reason, by: event.by, ...said(event) });
        }
        break;
      }
      case 'waiting-peer': {
        const waiter = toWaiter({ ...event.peer, reason: event.reason });
        const known = this.#queue.has(waiter.id);
        this.#queue.set(waiter.id, waiter);
        if (!known) this.emit('waiter-joined', { waiter });
        break;
      }
      case 'gone-peer':
        this.#noMoreWaits(event.peer, event.reason);
        break;
      case 'away-peer':
      case 'back-peer':
        this.#changePeer(event.peer, { away: event.type === 'away-peer' }, {});
        break;
      case 'state': {
        const state = this.#peers.get(event.peer)?.state ?? {};
        this.#changePeer(event.peer, { state: merge(state, event.state) }, event.state);
        break;
      }
      case 'control':
        this.#applyControl(event);
        break;
      case 'room': {
        const { capacity, locked, presenter, properties, spotlight } = event;
        const changes = { capacity, locked, presenter, properties, spotlight };
        this._applyChanges(event.version, changes);
        this.emit('changed', { by: event.by, changes: defined(changes) });
        break;
      }
      case 'closed':
        this._close({ reason: event.reason, by: event.by, ...said(event) });
        break;
    }
  }

  /**
   * @param {string} id
   * @param {RoomEvents['waiter-left']['reason']} reason
   */
  #noMoreWaits(id, reason) {
    const waiter = this.#queue.get(id);
    if (waiter && this.#queue.delete(id)) this.emit('waiter-left', { waiter, reason });
  }

  /** @param {{[field: string]: any}} event */
  #applyControl({ action, kind, to, by }) {
    const key = MUTED[kind];
    if (key && (action === 'mute' || action === 'unmute')) {
      const patch = { [key]: action === 'mute' ? true : null };
      for (const { id, state } of [...this.#peers.values()]) {
        if (to === undefined ? id !== by : id === to) this.#changePeer(id, { state: merge(state, patch) }, patch);
      }
    }
    this.emit('control', { action, kind, to, by });
  }

  /**
   * @param {string} id
   * @param {Partial<Peer>} change
   * @param {State} changes
   */
  #changePeer(id, change, changes) {
    const before = this.#peers.get(id);
    if (!before) return;
    const peer = Object.freeze({ ...before, ...change });
    this.#peers.set(id, peer);
    this.emit('peer-state', { peer, changes });
  }

  /** @param {Snapshot} snapshot */
  #take(snapshot) {
    this.#selfID = snapshot.self;
    this.#epoch = snapshot.epoch;
    this._is(snapshot);
    const peers = snapshot.peers.map(toPeer).sort((a, b) => a.order - b.order);
    this.#peers = new Map(peers.map((peer) => [peer.id, peer]));
    this.#queue = new Map((snapshot.queue ?? []).map((record) => [record.id, toWaiter(record)]));
  }
}
