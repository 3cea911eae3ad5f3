import { NotSeatedError } from './errors.js';
import { TypedTarget } from './events.js';
import { regain } from './regain.js';
import { givenUp } from './request.js';

/** @import { SignalboxError, NotSeatedCode } from './errors.js' */
/** @import { Place, Position, RoomResult, Snapshot, State } from './protocol.js' */
/** @import { RequestOptions } from './request.js' */
/** @import { Room } from './room.js' */

/**
 * @typedef {object} WaitingEvents
 * @property {Place} position one's own place in the queue is known, or another one
 *
 * @typedef {object} Asked what a seat was asked for with
 * @property {State} [state]
 * @property {number} [capacity]
 *
 * @typedef {object} Queued a place in a room's queue
 * @property {string} name
 * @property {Asked} asked
 * @property {Position} position of the room, when the place was taken
 * @property {Place} place
 * @property {Set<Waiting>} waiting  who wants it: the place is given up when nobody does any more
 * @property {boolean} lost          it is no more, and another one is asked for
 *
 * @typedef {object} LobbyPort what a lobby needs of its client
 * @property {(name: string, asked: Asked) => Promise<Room | undefined>} ask  asks for a seat or a place once more
 * @property {(name: string, options?: RequestOptions) => Promise<any>} leave gives either up
 * @property {(snapshot: Snapshot, asked: Asked) => Room} seated makes a room of a seat
 */

/**
 * A wait for a seat: for the room, by its promise `room`; for one's place in the queue meanwhile, by the event `position`, or by
 * going through it with `for await`. It goes on over lost connections. Made by `client.wait`.
 *
 * @extends {TypedTarget<WaitingEvents>}
 */
export class Waiting extends TypedTarget {
  #name;
  #signal;
  /** @type {(waiting: Waiting, options?: RequestOptions) => Promise<void>} */
  #giveUp;
  /** @type {Place | undefined} */
  #place;
  #ended = false;
  /** @type {(room: Room) => void} */
  #resolve = () => {};
  /** @type {(reason: any) => void} */
  #reject = () => {};
  #abort = () => {
    if (this._end(this.#signal?.reason)) this.#giveUp(this).catch(() => {});
  };

  /**
   * @param {string} name the room's
   * @param {(waiting: Waiting, options?: RequestOptions) => Promise<void>} giveUp
   * @param {AbortSignal} [signal]
   */
  constructor(name, giveUp, signal) {
    super();
    this.#name = name;
    this.#giveUp = giveUp;
    this.#signal = signal;
    /**
     * The room, once there is a seat. It rejects with a {@link NotSeatedError} where there is none to come, with the signal's reason
     * where that has aborted, or with why nobody could wait.
     *
     * @type {Promise<Room>}
     */
    this.room = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.room.catch(() => {}); // whoever goes through the places is told as well
    signal?.addEventListener('abort', this.#abort, { once: true });
    if (signal?.aborted) this.#abort();
  }

  /** The room's name. */
  get name() {
    return this.#name;
  }

  /** One's own place, from 1; undefined until it is known. */
  get position() {
    return this.#place?.position;
  }

  /** How many wait. */
  get count() {
    return this.#place?.count;
  }

  /** `full`, or `moderated` where a moderator has to let one in. */
  get reason() {
    return this.#place?.reason;
  }

  /** Whether the wait is over, be it with a seat or without. */
  get ended() {
    return this.#ended;
  }

  /**
   * Waits no more. `room` rejects with the code `left`; the promise waits for the gateway's reply.
   *
   * @param {RequestOptions} [options]
   */
  async leave(options) {
    if (this._end(new NotSeatedError('left'))) await this.#giveUp(this, options);
  }

  /**
   * The places, the present one first, until there is a seat. Of several that came meanwhile it is the last. It throws what `room` rejects with.
   *
   * @returns {AsyncGenerator<Place, void, void>}
   */
  async *[Symbol.asyncIterator]() {
    const places = this.stream(({ detail }) => detail, { limit: 1, overflow: 'drop' });
    try {
      if (this.#place && !this.#ended) yield this.#place;
      while (!this.#ended) {
        const { value } = await places.next();
        if (value && !this.#ended) yield value;
      }
    } finally {
      places.return?.();
    }
    await this.room;
  }

  /**
   * @internal
   * @param {Place} place
   */
  _moved(place) {
    if (this.#ended) return;
    const { position, count, reason } = place;
    this.#place = Object.freeze({ position, count, reason });
    this.emit('position', this.#place);
  }

  /**
   * @internal
   * @param {Room} room
   */
  _seated(room) {
    if (this.#over()) this.#resolve(room);
  }

  /**
   * @internal
   * @param {any} reason
   * @returns {boolean} whether it had not ended before
   */
  _end(reason) {
    const ends = this.#over();
    if (ends) this.#reject(reason);
    return ends;
  }

  #over() {
    if (this.#ended) return false;
    this.#ended = true;
    this.#signal?.removeEventListener('abort', this.#abort);
    this.endStreams();
    return true;
  }
}

/** The places that a client has in the queues of rooms. A place is leased, resumed and lost as a seat is. */
export class Lobby {
  #port;
  /** By room. @type {Map<string, Queued>} */
  #places = new Map();
  /** Places that were given up, as long as the gateway has not said so. @type {Set<Queued>} */
  #leaving = new Set();

  /** @param {LobbyPort} port */
  constructor(port) {
    this.#port = port;
  }

  /** @param {string} name */
  has(name) {
    return this.#places.has(name);
  }

  /**
   * Where a resumed session goes on. Who got a seat after all gets a snapshot, since its own joining came after this.
   *
   * @returns {[string, Position][]}
   */
  get positions() {
    const known = [...this.#leaving, ...this.#places.values()].filter(({ lost }) => !lost);
    return known.map(({ name, position }) => [name, position]);
  }

  /**
   * A join was answered with a place.
   *
   * @param {Snapshot & {waiting?: Place}} snapshot
   * @param {Asked} asked
   * @param {Waiting} [waiting] who asked; undefined when the place was asked for again
   * @returns {boolean} whether anybody wants it
   */
  placed({ room, epoch, seq, waiting: place }, asked, waiting) {
    let queued = this.#places.get(room);
    if (waiting?.ended || !place || (!waiting && !queued)) return queued !== undefined;
    if (!queued) {
      queued = { name: room, asked, position: { epoch, seq }, place, waiting: new Set(), lost: false };
      this.#places.set(room, queued);
    }
    queued.lost = false;
    queued.position = { epoch, seq };
    if (waiting) queued.waiting.add(waiting);
    this.#moved(queued, place);
    return true;
  }

  /**
   * An event of a room without a seat.
   *
   * @param {{type: string, room?: any, [field: string]: any}} event
   * @returns {boolean} whether it was for who waits
   */
  event(event) {
    const queued = this.#places.get(event.room);
    if (!queued) return false;
    switch (event.type) {
      case 'waiting':
        this.#moved(queued, /** @type {any} */ (event));
        break;
      case 'seated':
      case 'resync':
        this.#port.seated(/** @type {any} */ (event), queued.asked);
        break;
      case 'closed':
        this.#end(queued, new NotSeatedError(/** @type {NotSeatedCode} */ (event.reason), event.by));
        break;
    }
    return true;
  }

  /**
   * There is a seat in a room.
   *
   * @param {Room} room
   */
  seated(room) {
    const queued = this.#places.get(room.name);
    this.#places.delete(room.name);
    for (const waiting of queued?.waiting ?? []) waiting._seated(room);
  }

  /**
   * There is another connection: places that were not kept are asked for again, at the end of the queue.
   *
   * @param {Record<string, RoomResult>} results
   * @param {number} patience how long one's own old place may fill the queue, in milliseconds
   */
  resumed(results, patience) {
    for (const queued of this.#places.values()) {
      const isKept = ['waiting', 'resync'].includes(results[queued.name]?.result);
      if (!isKept && !queued.lost) this.#askAgain(queued, patience);
    }
  }

  /**
   * Somebody does not want to wait any more.
   *
   * @param {Waiting} waiting
   * @param {RequestOptions} [options]
   */
  async giveUp(waiting, options) {
    const queued = this.#places.get(waiting.name);
    if (!queued?.waiting.delete(waiting) || queued.waiting.size > 0) return;
    this.#places.delete(queued.name);
    this.#leaving.add(queued);
    try {
      await givenUp(this.#port.leave(queued.name, options));
    } finally {
      this.#leaving.delete(queued);
    }
  }

  /**
   * The client is closed.
   *
   * @param {SignalboxError} error
   */
  stop(error) {
    for (const queued of [...this.#places.values()]) this.#end(queued, error);
  }

  /**
   * @param {Queued} queued
   * @param {number} patience
   */
  #askAgain(queued, patience) {
    queued.lost = true;
    const isWanted = () => this.#places.get(queued.name) === queued && queued.lost;
    regain(isWanted, () => this.#port.ask(queued.name, queued.asked), (error) => this.#end(queued, error), patience);
  }

  /**
   * @param {Queued} queued
   * @param {Place} place
   */
  #moved(queued, place) {
    queued.place = place;
    for (const waiting of [...queued.waiting]) waiting._moved(place);
  }

  /**
   * @param {Queued} queued
   * @param {Error} error
   */
  #end(queued, error) {
    if (this.#places.get(queued.name) === queued) this.#places.delete(queued.name);
    for (const waiting of queued.waiting) waiting._end(error);
  }
}
