import { Refusal, snapshot } from './gateway.js';

/** @import { Connection, FakeGateway, Request } from './gateway.js' */

/**
 * @typedef {object} Session
 * @property {string} id
 * @property {number} attempt
 * @property {Connection} connection
 *
 * @typedef {object} Hall a room, and all that has happened in it
 * @property {string} name
 * @property {string} epoch
 * @property {number} seq
 * @property {number} floor what is at or below it is not known any more
 * @property {{seq: number, to?: string, but?: string, event: object}[]} log `to` one peer, or to all but one
 * @property {Map<string, {order: number, state: object}>} seats by session
 * @property {Map<string, number>} applied the number of each request that took effect, by session and id
 */

/** What the fake gateway does with sessions that can be resumed: its rooms remember, and every request takes effect once. */
export class Sessions {
  /** By token; older tokens lead to it, too. @type {Map<string, Session>} */
  byToken = new Map();
  /** @type {Map<string, Hall>} */
  halls = new Map();
  /** How often a request came again that had taken effect. */
  repeats = 0;
  #orders = 1;

  /** @param {FakeGateway} gateway */
  constructor(gateway) {
    const { hello } = gateway.handlers;
    Object.assign(gateway.handlers, {
      hello: (/** @type {Request} */ request, /** @type {Connection} */ connection) => this.#hello(request, connection, hello),
      join: this.#served((session, request) => this.#join(session, request)),
      publish: this.#seated(({ data, echo }, { id }) => ({ but: echo ? undefined : id, event: { type: 'message', from: id, data } })),
      signal: this.#seated(({ to, data }, { id }) => ({ to, event: { type: 'signal', from: id, data } })),
      control: this.#seated(({ action, kind, to }, { id }) => ({ event: { type: 'control', action, kind, to, by: id } })),
      room: this.#seated(({ type: _type, id: _id, room: _room, version, ...changes }, { id }) => ({ event: { type: 'room', version: version + 1, by: id, ...changes } })),
      state: this.#seated(({ state }, { id }, hall) => {
        Object.assign(hall.seats.get(id) ?? {}, { state });
        return { but: id, event: { type: 'state', peer: id, state } };
      }),
      leave: this.#seated((_, { id }, hall) => {
        hall.seats.delete(id);
        return { but: id, event: { type: 'left-peer', peer: id, reason: 'left' } };
      }),
    });
  }

  /**
   * @param {string} name
   * @returns {Hall}
   */
  hall(name) {
    const hall = this.halls.get(name) ?? { name, epoch: 'e1', seq: 5, floor: 5, log: [], seats: new Map(), applied: new Map() };
    this.halls.set(name, hall);
    return hall;
  }

  /** The newest session. */
  get latest() {
    const latest = [...this.byToken.values()].at(-1);
    if (!latest) throw new Error('no session yet');
    return latest;
  }

  /**
   * Something happens in a room.
   *
   * @param {string} name
   * @param {{to?: string, but?: string, event: object}} what
   * @returns {number} its number
   */
  tell(name, { to, but, event }) {
    const hall = this.hall(name);
    hall.seq += 1;
    const entry = { seq: hall.seq, to, but, event: { seq: hall.seq, room: name, ...event } };
    hall.log.push(entry);
    for (const session of new Set(this.byToken.values())) {
      if (hall.seats.has(session.id) && isFor(entry, session)) session.connection.send(entry.event);
    }
    return hall.seq;
  }

  /**
   * Ada says something.
   *
   * @param {string} name
   * @param {any} data
   */
  say(name, data) {
    return this.tell(name, { event: { type: 'message', from: 'ada', data } });
  }

  /**
   * The room forgets what has happened so far.
   *
   * @param {string} name
   * @param {string} [epoch]
   */
  forget(name, epoch = 'e1') {
    const hall = this.hall(name);
    Object.assign(hall, { epoch, floor: hall.seq, log: [] });
  }

  /** No session is known any more. */
  end() {
    for (const hall of this.halls.values()) hall.seats.clear();
    this.byToken.clear();
  }

  /**
   * @param {Request} request
   * @param {Connection} connection
   * @param {(request: Request, connection: Connection) => any} hello
   */
  #hello(request, connection, hello) {
    const { resume, attempt, rooms = {} } = request;
    const welcome = hello(request, connection);
    if (welcome === undefined || welcome instanceof Refusal) return welcome;
    if (resume === undefined) {
      const session = { id: welcome.session, attempt, connection };
      return { ...welcome, ...this.#keep(session) };
    }
    const session = this.byToken.get(resume);
    if (!session || attempt <= session.attempt) return new Refusal('resume_refused');
    const old = session.connection;
    Object.assign(session, { attempt, connection });
    old.socket.close(4006);
    /** @type {Record<string, {result: string}>} */
    const results = {};
    /** @type {object[]} */
    const missed = [];
    for (const [name, { epoch, seq }] of Object.entries(rooms)) {
      const hall = this.hall(name);
      const isKnown = epoch === hall.epoch && seq >= hall.floor;
      results[name] = { result: hall.seats.has(session.id) ? (isKnown ? 'replayed' : 'resync') : 'gone' };
      if (results[name].result === 'resync') missed.push({ type: 'resync', ...this.#snapshot(hall, session) });
      if (results[name].result !== 'replayed') continue;
      for (const entry of hall.log) if (entry.seq > seq && isFor(entry, session)) missed.push(entry.event);
    }
    connection.send({ re: request.id, ok: { ...welcome, session: session.id, ...this.#keep(session), resumed: true, rooms: results } }, ...missed);
    return undefined;
  }

  /** @param {Session} session */
  #keep(session) {
    const resume = `token ${session.id} ${session.attempt}`;
    this.byToken.set(resume, session);
    return { resume, grace: 30_000 };
  }

  /**
   * @param {Session} session
   * @param {Request} request
   */
  #join(session, { room, state }) {
    const hall = this.hall(room);
    if (!hall.seats.has(session.id)) {
      this.#orders += 1;
      hall.seats.set(session.id, { order: this.#orders, state });
      this.tell(room, { but: session.id, event: { type: 'joined-peer', peer: { id: session.id, order: this.#orders, user: 'u' } } });
    }
    return this.#snapshot(hall, session);
  }

  /**
   * @param {Hall} hall
   * @param {Session} session
   */
  #snapshot(hall, { id }) {
    const { order = 2, state = {} } = hall.seats.get(id) ?? {};
    const whole = snapshot({ room: hall.name, self: id, epoch: hall.epoch, seq: hall.seq, state });
    whole.peers[1].order = order;
    return whole;
  }

  /**
   * A handler for the connection that has the session: what a later one has taken over gets no reply.
   *
   * @param {(session: Session, request: Request) => any} handle
   */
  #served(handle) {
    return (/** @type {Request} */ request, /** @type {Connection} */ connection) => {
      const session = [...this.byToken.values()].find((one) => one.connection === connection);
      return session && handle(session, request);
    };
  }

  /**
   * A handler that needs a seat, and does everything once.
   *
   * @param {(request: Request, session: Session, hall: Hall) => {to?: string, but?: string, event: object}} act
   */
  #seated(act) {
    return this.#served((session, request) => {
      const hall = this.hall(request.room);
      const key = `${session.id} ${request.id}`;
      const applied = hall.applied.get(key);
      if (applied !== undefined) {
        this.repeats += 1;
        return { seq: applied, version: 0, affected: 0, repeated: true };
      }
      if (!hall.seats.has(session.id)) return new Refusal('not_member');
      const seq = this.tell(hall.name, act(request, session, hall));
      hall.applied.set(key, seq);
      return { seq, version: request.version + 1, affected: 1 };
    });
  }
}

/**
 * @param {{to?: string, but?: string}} entry
 * @param {Session} session
 */
function isFor({ to, but }, { id }) {
  return to === undefined ? but !== id : to === id;
}
