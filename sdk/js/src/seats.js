import { SignalboxError } from './errors.js';
import { disconnected } from './link.js';
import { Lobby } from './lobby.js';
import { ownState } from './records.js';
import { regain } from './regain.js';
import { outcomeUnknown } from './request.js';
import { Room } from './room.js';

/** @import { Link } from './link.js' */
/** @import { Waiting } from './lobby.js' */
/** @import { JoinOptions } from './options.js' */
/** @import { Place, RoomResult, ServerEvent, Snapshot } from './protocol.js' */
/** @import { Request, RequestOptions } from './request.js' */
/** @import { Closing } from './room.js' */

/**
 * @typedef {object} SeatsPort what the seats need of their client
 * @property {(type: string, fields: object, options?: RequestOptions, room?: Room) => Promise<any>} request
 * @property {(request: Request) => void} submit sends what was held, if there is a connection
 */

/**
 * How long `room_full` is not believed when a seat is taken again, in milliseconds: until the gateway has noticed
 * that the lost connection is dead, it is one's own old seat that fills the room.
 */
const OLD_SEAT_PATIENCE = 90_000;

/** The seats that a client has in rooms, asks for or gives up, and the requests that wait for them. */
export class Seats {
  #port;
  /** @type {Map<string, Room>} */
  _rooms = new Map();
  /** Rooms whose seat is lost, and asked for anew. @type {Set<Room>} */
  #seatless = new Set();
  /** Rooms that were left, as long as the gateway has not said so. @type {Set<Room>} */
  #leaving = new Set();
  /** The capacity that each room was joined with, to make it the same if it has ended meanwhile. @type {WeakMap<Room, number>} */
  #capacities = new WeakMap();
  /** Rooms whose first join is under way: how many calls, and what came before the reply. @type {Map<string, {calls: number, events: any[]}>} */
  #joining = new Map();
  /** Requests that wait for a connection, or for their room's seat; first those that were sent already. @type {Set<Request>} */
  _held = new Set();

  /** @param {SeatsPort} port */
  constructor(port) {
    this.#port = port;
    /** The places in queues. */
    this._lobby = new Lobby({
      ask: (name, asked) => this.#askAgain(name, asked),
      leave: (name, options) => port.request('leave', { room: name }, options),
      seated: (snapshot, asked) => this.#seated(snapshot, asked),
    });
  }

  /** What was seen last in each room that has a seat, or a place in the queue, as far as is known. */
  get _positions() {
    const seats = [...this.#leaving, ...this._rooms.values()].filter((room) => !this.#seatless.has(room));
    const positions = [...seats.map((room) => [room.name, room._position]), ...this._lobby.positions];
    return positions.length === 0 ? undefined : Object.fromEntries(positions);
  }

  /**
   * There is another connection: what has no reply yet is sent again, and what was lost is asked for.
   *
   * @param {Link} link
   * @param {boolean} resumed
   * @param {Record<string, RoomResult>} results by room
   * @returns {Room[]} those that miss nothing
   */
  _goOn(link, resumed, results) {
    const patience = resumed ? 0 : OLD_SEAT_PATIENCE;
    const isKept = (/** @type {Room} */ { name }) => ['replayed', 'resync'].includes(results[name]?.result);
    const rooms = [...this._rooms.values()];
    const unseated = rooms.filter((room) => !isKept(room) && !this.#seatless.has(room));
    for (const room of unseated) this.#seatless.add(room);
    for (const request of [...this._held]) {
      const { id, room } = request;
      const lost = room ? !isKept(room) : !resumed;
      request.resynced = room !== undefined && results[room.name]?.result === 'resync';
      // What was sent may have taken effect; what was not waits for the room's next seat, if there is to be one.
      if (lost && id > 0 && resumed && request.leavesOpen) request.fail(outcomeUnknown());
      else if (lost && (id > 0 || room?.status === 'closed')) request.fail(disconnected());
      else if (!this._lacks(request)) link.submit(request);
    }
    for (const room of unseated) {
      room._unseated();
      this.#rejoin(room, patience);
    }
    this._lobby.resumed(results, patience);
    return rooms.filter(({ name }) => results[name]?.result === 'replayed');
  }

  /**
   * Keeps requests for the next connection, before those that are kept already.
   *
   * @param {Request[]} requests
   */
  _hold(requests) {
    const held = new Set();
    for (const request of [...requests, ...this._held]) request.waitIn(held);
    this._held = held;
  }

  /**
   * An event of a room.
   *
   * @param {ServerEvent} event
   */
  _event(event) {
    const room = this._rooms.get(event.room);
    if (room) room._event(/** @type {any} */ (event));
    else if (this._lobby.event(event)) return;
    else if (event.seq !== undefined) this.#joining.get(event.room)?.events.push(event);
  }

  /**
   * Sends a join, and once more in the next session if its session is lost.
   *
   * @param {string} name
   * @param {JoinOptions & RequestOptions} options
   * @param {Waiting} [waiting] who takes a place in the queue as well
   * @returns {Promise<Room | undefined | null>} undefined for a place, null for what nobody wants any more
   */
  async _join(name, { state, capacity, signal, timeout = 20_000 }, waiting) {
    const deadline = performance.now() + timeout;
    const asked = { state, capacity };
    const joining = this.#joining.get(name) ?? { calls: 0, events: [] };
    joining.calls += 1;
    this.#joining.set(name, joining);
    try {
      for (;;) {
        try {
          return await this.#askFor(name, { ...asked, wait: waiting && true }, {
            signal,
            timeout: deadline - performance.now(),
            accept: (snapshot) => this.#entered(snapshot, asked, waiting),
          });
        } catch (error) {
          if (/** @type {SignalboxError} */ (error).code !== 'disconnected') throw error;
          joining.events = [];
        }
      }
    } finally {
      joining.calls -= 1;
      if (joining.calls === 0) this.#joining.delete(name);
    }
  }

  /**
   * A join by the application took effect.
   *
   * @param {Snapshot} snapshot
   * @param {JoinOptions} asked
   * @param {Waiting} [waiting]
   * @returns {Room | undefined | null} as of _join
   */
  #entered(snapshot, asked, waiting) {
    if (waiting?.ended) return null;
    if (!snapshot.waiting) return this.#seated(snapshot, asked);
    if (waiting) {
      this._lobby.placed(snapshot, asked, waiting);
      return undefined;
    }
    if (!this._lobby.has(snapshot.room)) this.#leave(snapshot.room);
    throw noSeat(snapshot.waiting);
  }

  /**
   * Asks for a seat or a place once more that was lost.
   *
   * @param {string} name
   * @param {JoinOptions} asked
   */
  #askAgain(name, asked) {
    const accept = (/** @type {Snapshot} */ snapshot) => {
      if (!this._lobby.has(name)) this._giveUp(name);
      else if (!snapshot.waiting) return this.#seated(snapshot, asked);
      else this._lobby.placed(snapshot, asked);
      return undefined;
    };
    return this.#askFor(name, { ...asked, wait: true }, { accept });
  }

  /**
   * Takes a room's seat again that is lost.
   *
   * @param {Room} room
   * @param {number} patience how long one's own old seat may fill the room, in milliseconds
   */
  #rejoin(room, patience) {
    const { name } = room;
    const accept = (/** @type {Snapshot} */ snapshot) => {
      if (!snapshot.waiting) return this.#seated(snapshot, {}, room);
      this.#leave(name);
      throw noSeat(snapshot.waiting);
    };
    const ask = () => this.#askFor(name, { state: ownState(room.self.state), capacity: this.#capacities.get(room) }, { accept }, room);
    regain(() => this.#seatless.has(room), ask, (error) => room._close({ reason: 'lost', error }), patience);
  }

  /**
   * @param {string} name
   * @param {JoinOptions & {wait?: boolean}} asked
   * @param {RequestOptions} options
   * @param {Room} [room] the room that was lost
   */
  #askFor(name, asked, options, room) {
    return this.#port.request('join', { room: name, ...asked }, { late: () => this._giveUp(name), ...options }, room);
  }

  /**
   * A join took effect.
   *
   * @param {Snapshot} snapshot
   * @param {{capacity?: number}} asked
   * @param {Room} [again] the room that was lost; undefined for a join by the application
   * @returns {Room}
   */
  #seated(snapshot, { capacity }, again) {
    let room = this._rooms.get(snapshot.room);
    if (again && room !== again) {
      this._giveUp(snapshot.room);
      throw new SignalboxError('closed', 'the room was left');
    }
    if (room) {
      this.#seatless.delete(room);
      for (const request of [...this._held]) if (request.room === room) this.#port.submit(request);
      room._rejoined(snapshot);
      this._lobby.seated(room);
      return room;
    }
    room = new Room(
      {
        request: (asking, type, fields, options) => this.#ask(asking, type, fields, options),
        forget: (closed, closing) => this.#forget(closed, closing),
        join: (name, options) => /** @type {Promise<Room>} */ (this._join(name, options)),
        has: (name) => this._rooms.has(name),
      },
      snapshot,
    );
    this._rooms.set(snapshot.room, room);
    if (capacity !== undefined) this.#capacities.set(room, capacity);
    for (const event of this.#joining.get(snapshot.room)?.events ?? []) room._event(event);
    this._lobby.seated(room);
    return room;
  }

  /**
   * A room is being closed.
   *
   * @param {Room} room
   * @param {Closing} closing
   */
  #forget(room, { reason }) {
    const seatless = this.#seatless.delete(room);
    if (this._rooms.get(room.name) === room) this._rooms.delete(room.name);
    // When one leaves, what one has said before is still to be sent.
    if ((reason === 'left' || reason === 'moved') && !seatless) return;
    for (const request of [...this._held]) {
      if (request.room !== room) continue;
      request.fail(request.id > 0 ? disconnected() : new SignalboxError('closed', 'the room is closed'));
    }
  }

  /**
   * A join took effect that nobody waits for any more.
   *
   * @param {string} name
   */
  _giveUp(name) {
    if (this._rooms.has(name) || this.#joining.has(name) || this._lobby.has(name)) return;
    this.#leave(name);
  }

  /** @param {Request} request */
  _lacks({ type, room }) {
    return type !== 'join' && room !== undefined && this.#seatless.has(room);
  }

  /**
   * What a room asks for.
   *
   * @param {Room} room
   * @param {string} type
   * @param {object} fields
   * @param {RequestOptions} [options]
   */
  #ask(room, type, fields, options) {
    const reply = this.#port.request(type, fields, options, room);
    if (type === 'leave') {
      this.#leaving.add(room);
      reply.catch(() => {}).then(() => this.#leaving.delete(room));
    }
    return reply;
  }

  /** @param {string} name */
  #leave(name) {
    this.#port.request('leave', { room: name }).catch(() => {});
  }
}

/**
 * Why a join that was not to wait has got no seat.
 *
 * @param {Place} place
 */
function noSeat({ reason }) {
  return new SignalboxError(reason === 'full' ? 'room_full' : 'room_locked', 'there is a place in the queue, and no seat');
}
