import { Backoff } from './backoff.js';
import { SignalboxError } from './errors.js';
import { TypedTarget } from './events.js';
import { Gate } from './gate.js';
import { Link } from './link.js';
import { CLIENT, CLOSE_EXPIRED, CLOSE_UNAUTHORIZED, isFinalClose } from './protocol.js';
import { Room } from './room.js';

/** @import { End, RequestOptions, WebSocketConstructor } from './link.js' */
/** @import { Limits, ServerEvent, Snapshot, State, Welcome } from './protocol.js' */

/**
 * @typedef {object} SignalboxOptions
 * @property {string} [token] a JWT of the app's backend
 * @property {() => string | Promise<string>} [getToken] fetches a JWT for each connection; preferred over `token`,
 *   which expires
 * @property {string} [app]  without a token: an app that lets anonymous clients in
 * @property {string} [name] the display name, without a token
 * @property {WebSocketConstructor} [WebSocket] where the platform has none
 * @property {{min?: number, max?: number, healthy?: number, random?: () => number}} [backoff] see {@link Backoff}
 * @property {number} [openTimeout] how long a handshake and its hello may take each, in milliseconds
 *
 * @typedef {'connecting' | 'connected' | 'reconnecting' | 'closed'} ClientState
 *
 * @typedef {object} StateDetail
 * @property {ClientState} state
 * @property {SignalboxError} [error] why it is not connected
 * @property {number} [delay]   until the next attempt, in milliseconds
 *
 * @typedef {object} ClientEvents
 * @property {StateDetail} state
 * @property {{retryAfter: number, deadline: number}} goaway the gateway drains; the client moves by itself
 * @property {{iceServers: RTCIceServer[]}} ice fresh ICE servers
 *
 * @typedef {object} JoinOptions
 * @property {State} [state]      one's own first state
 * @property {number} [capacity]  seats of the room, if this join makes it and the token allows it
 *
 * @typedef {object} Failure why a connection ended or was not made
 * @property {SignalboxError} error
 * @property {boolean} final
 * @property {number} lasted milliseconds
 */

/** How long a sign of life may take when the network has probably changed, in milliseconds. */
const PROBE_DEADLINE = 5_000;

/**
 * How long `room_full` is not believed when a seat is taken again, in milliseconds: until the gateway has noticed
 * that the lost connection is dead, it is one's own old seat that fills the room.
 */
const OLD_SEAT_PATIENCE = 90_000;

/**
 * A client of a Signalbox cluster: one session, which comes back by itself when its connection is lost, and takes its
 * seats again.
 *
 * @extends {TypedTarget<ClientEvents>}
 */
export class Signalbox extends TypedTarget {
  #url;
  #options;
  #WebSocket;
  #backoff;
  #openTimeout;
  /** @type {ClientState} */
  #state = 'closed';
  /** @type {Welcome | undefined} */
  #welcome;
  /** @type {RTCIceServer[]} */
  #iceServers = [];
  /** Set while the client runs; aborted by close(). @type {AbortController | undefined} */
  #running;
  /** Set while a hello is in force. @type {Link | undefined} */
  #link;
  /** Calls that wait for `#link`. */
  #gate = new Gate();
  /** @type {() => void} */
  #wake = () => {};
  /** @type {string | undefined} */
  #refusedToken;
  /** When the draining gateway wants to be left, by performance.now(). */
  #moveAt = 0;
  /** @type {Map<string, Room>} */
  #rooms = new Map();
  /** The capacity that each room was joined with, to make it the same if it has ended meanwhile. @type {WeakMap<Room, number>} */
  #capacities = new WeakMap();
  /** Rooms whose first join is under way: how many calls, and what came before the reply. @type {Map<string, {calls: number, events: any[]}>} */
  #joining = new Map();

  /**
   * @param {string | URL} url the gateway: `https://host` or `wss://host/path`; the path is `/v1/connect` where the
   *   URL has none
   * @param {SignalboxOptions} [options]
   */
  constructor(url, options = {}) {
    super();
    this.#url = connectURL(url);
    this.#options = options;
    const WebSocket = options.WebSocket ?? /** @type {any} */ (globalThis).WebSocket;
    if (!WebSocket) throw new TypeError('this platform has no WebSocket: give one in the options');
    this.#WebSocket = WebSocket;
    this.#backoff = new Backoff(options.backoff);
    this.#openTimeout = options.openTimeout ?? 10_000;
  }

  /** @returns {ClientState} */
  get state() {
    return this.#state;
  }

  /** The session's public id, one's peer id in every room; undefined before the first connection. */
  get session() {
    return this.#welcome?.session;
  }

  get user() {
    return this.#welcome?.user;
  }

  /** The display name, as the gateway knows it. */
  get name() {
    return this.#welcome?.name;
  }

  /** The gateway that serves this client, or served it last. */
  get node() {
    return this.#welcome?.node;
  }

  /** ICE servers for RTCPeerConnection, the newest that are known. */
  get iceServers() {
    return this.#iceServers;
  }

  /** The gateway's limits. @returns {Partial<Limits>} */
  get limits() {
    return this.#welcome?.limits ?? {};
  }

  /** The rooms with a seat, by name. @returns {ReadonlyMap<string, Room>} */
  get rooms() {
    return this.#rooms;
  }

  /**
   * Connects, and stays connected until `close` or a final refusal. Resolves at the first connection; a gateway that
   * cannot be reached is tried again until the signal aborts, a refusal for good rejects.
   *
   * @param {{signal?: AbortSignal}} [options]
   * @returns {Promise<void>}
   */
  async connect({ signal } = {}) {
    signal?.throwIfAborted();
    const running = this.#running ?? this.#start();
    try {
      await this.#ready(signal);
    } catch (error) {
      if (signal?.aborted && this.#running === running && this.#state === 'connecting') this.close();
      throw error;
    }
  }

  /**
   * Takes a seat. During a reconnect it waits for the connection; a join whose reply is lost with the connection is
   * sent again, since the seat is lost, too. A room that one is in already gives the same Room, with a new snapshot.
   *
   * @param {string} name
   * @param {JoinOptions & RequestOptions} [options]
   * @returns {Promise<Room>}
   */
  async join(name, { state, capacity, signal, timeout = 20_000 } = {}) {
    const deadline = performance.now() + timeout;
    const joining = this.#joining.get(name) ?? { calls: 0, events: [] };
    joining.calls += 1;
    this.#joining.set(name, joining);
    try {
      for (;;) {
        const link = await this.#ready(signal, deadline - performance.now());
        try {
          return await link.request('join', { room: name, state, capacity }, {
            signal,
            timeout: deadline - performance.now(),
            accept: (snapshot) => this.#seated(link, snapshot, { capacity }),
            late: () => this.#giveUpSeat(link, name),
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
   * Asks how many are in a room, or, for members, who.
   *
   * @param {string} room
   * @param {{list?: boolean} & RequestOptions} [options]
   * @returns {Promise<{room: string, count: number, capacity: number} | Snapshot>}
   */
  async peers(room, { list, ...options } = {}) {
    return (await this.#ready(options.signal, options.timeout)).request('peers', { room, list }, options);
  }

  /** Gives up all seats and the connection. `connect` starts anew. */
  close() {
    this.#stop(new SignalboxError('closed', 'the client was closed'), 'left');
  }

  #start() {
    const running = new AbortController();
    this.#running = running;
    this.#setState('connecting');
    const options = { signal: running.signal };
    const target = /** @type {any} */ (globalThis);
    target.addEventListener?.('online', () => this.#nudge(), options);
    target.document?.addEventListener('visibilitychange', () => {
      if (target.document.visibilityState === 'visible') this.#nudge();
    }, options);
    this.#run(running.signal);
    return running;
  }

  /**
   * One connection after the other, until the client is closed or refused for good.
   *
   * @param {AbortSignal} stopped
   */
  async #run(stopped) {
    while (!stopped.aborted) {
      const { error, final, lasted } = await this.#connectOnce(stopped);
      if (stopped.aborted) return;
      if (final) {
        this.#stop(error, 'lost');
        return;
      }
      if (lasted >= this.#backoff.healthy) this.#backoff.reset();
      const untilMove = this.#moveAt - performance.now();
      this.#moveAt = 0;
      const delay = Math.max(this.#backoff.next(), error.retryAfter, untilMove);
      this.#setState(this.#welcome ? 'reconnecting' : 'connecting', { error, delay });
      await this.#pause(delay, stopped);
    }
  }

  /**
   * Makes a connection, says hello, and waits for the end.
   *
   * @param {AbortSignal} stopped
   * @returns {Promise<Failure>}
   */
  async #connectOnce(stopped) {
    let token;
    try {
      token = await this.#token();
    } catch (error) {
      const failure = error instanceof SignalboxError ? error : new SignalboxError('unauthorized', 'no token', { retryable: true, cause: error });
      return { error: failure, final: !failure.retryable, lasted: 0 };
    }
    const refuses = this.#options.getToken !== undefined && token === this.#refusedToken;
    if (refuses) {
      return { error: new SignalboxError('unauthorized', 'the token was refused, and there is no other'), final: true, lasted: 0 };
    }
    /** @type {Link} */
    const link = new Link(this.#url, {
      WebSocket: this.#WebSocket,
      openTimeout: this.#openTimeout,
      onEvent: (event) => this.#event(event),
    });
    const stop = () => link.close();
    stopped.addEventListener('abort', stop);
    if (stopped.aborted) stop();
    /** @type {SignalboxError | undefined} */
    let refusal;
    await link.opened;
    if (!link.ended) {
      try {
        await link.request('hello', this.#hello(token), {
          timeout: this.#openTimeout,
          accept: (welcome) => this.#welcomed(link, welcome),
        });
      } catch (error) {
        refusal = /** @type {SignalboxError} */ (error);
        link.close();
      }
    }
    const end = await link.closed;
    stopped.removeEventListener('abort', stop);
    this.#unlink(link);
    return this.#judge(end, refusal, token);
  }

  /**
   * The fields of hello. A session always starts anew: what a resumed one adds (`resume`, and each room's last `seq`)
   * belongs here, and what the reply says of it in `#welcomed`.
   *
   * @param {string | undefined} token
   */
  #hello(token) {
    const { app, name } = this.#options;
    return token === undefined ? { app, name, client: CLIENT } : { token, client: CLIENT };
  }

  /**
   * @param {Link} link
   * @param {Welcome} welcome
   */
  #welcomed(link, welcome) {
    this.#welcome = welcome;
    this.#link = link;
    this.#refusedToken = undefined;
    this.#iceServers = welcome.iceServers ?? [];
    link.establish(welcome.limits ?? {}, welcome.heartbeat);
    this.#gate.open(link);
    for (const room of [...this.#rooms.values()]) this.#rejoin(link, room);
    this.#setState('connected');
    this.emit('ice', { iceServers: this.#iceServers });
  }

  /** @param {Link} link */
  #unlink(link) {
    if (this.#link !== link) return;
    this.#link = undefined;
    for (const room of [...this.#rooms.values()]) room._lost();
  }

  /**
   * Whether, and why, there is no coming back.
   *
   * @param {End} end
   * @param {SignalboxError | undefined} refusal of hello
   * @param {string | undefined} token
   * @returns {Failure}
   */
  #judge({ code, reason, lasted }, refusal, token) {
    const refused = refusal !== undefined && refusal.code !== 'disconnected' && refusal.code !== 'timeout';
    const details = { closeCode: code, retryable: !isFinalClose(code), cause: refusal };
    const unauthorized = code === CLOSE_UNAUTHORIZED || code === CLOSE_EXPIRED;
    const error = refused ? refusal : new SignalboxError(unauthorized ? 'unauthorized' : 'disconnected', reason || `connection closed (${code})`, details);
    if (error.code === 'unauthorized' && this.#options.getToken) {
      this.#refusedToken = token;
      return { error, final: false, lasted };
    }
    return { error, final: !error.retryable, lasted };
  }

  /** @returns {Promise<string | undefined>} */
  async #token() {
    const { getToken, token } = this.#options;
    return getToken ? getToken() : token;
  }

  /**
   * Takes a room's seat again on a new connection.
   *
   * @param {Link} link
   * @param {Room} room
   */
  async #rejoin(link, room) {
    const patience = performance.now() + OLD_SEAT_PATIENCE;
    const backoff = new Backoff({ min: 500, max: 5_000 });
    const held = () => !link.ended && this.#rooms.get(room.name) === room;
    while (held()) {
      try {
        const { mutedAudio: _audio, mutedVideo: _video, ...state } = room.self.state;
        await link.request('join', { room: room.name, state, capacity: this.#capacities.get(room) }, {
          accept: (snapshot) => this.#seated(link, snapshot, {}, room),
          late: () => this.#giveUpSeat(link, room.name),
        });
        return;
      } catch (cause) {
        const error = /** @type {SignalboxError} */ (cause);
        if (!held()) return;
        const oldSeat = error.code === 'room_full' && performance.now() < patience;
        if (!error.retryable && !oldSeat) {
          room._close({ reason: 'lost', error });
          return;
        }
        await new Promise((resolve) => setTimeout(resolve, Math.max(error.retryAfter, backoff.next())));
      }
    }
  }

  /**
   * A join took effect.
   *
   * @param {Link} link
   * @param {Snapshot} snapshot
   * @param {{capacity?: number}} asked
   * @param {Room} [again] the room that was lost; undefined for a join by the application
   * @returns {Room}
   */
  #seated(link, snapshot, { capacity }, again) {
    let room = this.#rooms.get(snapshot.room);
    if (again && room !== again) {
      this.#giveUpSeat(link, snapshot.room);
      throw new SignalboxError('closed', 'the room was left');
    }
    if (room) {
      room._rejoined(snapshot);
      return room;
    }
    room = new Room(
      {
        request: (type, fields, options) => this.#request(type, fields, options),
        forget: (closed) => {
          if (this.#rooms.get(closed.name) === closed) this.#rooms.delete(closed.name);
        },
      },
      snapshot,
    );
    this.#rooms.set(snapshot.room, room);
    if (capacity !== undefined) this.#capacities.set(room, capacity);
    for (const event of this.#joining.get(snapshot.room)?.events ?? []) room._event(event);
    return room;
  }

  /**
   * A join took effect that nobody waits for any more.
   *
   * @param {Link} link
   * @param {string} name
   */
  #giveUpSeat(link, name) {
    if (this.#rooms.has(name) || this.#joining.has(name)) return;
    link.request('leave', { room: name }).catch(() => {});
  }

  /**
   * @param {string} type
   * @param {object} fields
   * @param {RequestOptions} [options]
   */
  #request(type, fields, options) {
    if (!this.#link) {
      return Promise.reject(new SignalboxError('disconnected', 'there is no connection to the gateway', { retryable: true }));
    }
    return this.#link.request(type, fields, options);
  }

  /**
   * The link, once hello is in force.
   *
   * @param {AbortSignal} [signal]
   * @param {number} [timeout] milliseconds
   * @returns {Promise<Link>}
   */
  async #ready(signal, timeout) {
    signal?.throwIfAborted();
    if (!this.#running) throw new SignalboxError('closed', 'the client is not connected: call connect() first');
    if (this.#link && !this.#link.ended) return this.#link;
    return this.#gate.wait(signal, timeout);
  }

  /** @param {ServerEvent} event */
  #event(event) {
    if (event.type === 'ice') {
      this.#iceServers = event.iceServers ?? [];
      this.emit('ice', { iceServers: this.#iceServers });
    } else if (event.type === 'goaway') {
      this.#goaway(event.retryAfter ?? 0, event.deadline ?? 0);
    } else if (event.room !== undefined) {
      const room = this.#rooms.get(event.room);
      if (room) room._event(/** @type {any} */ (event));
      else this.#joining.get(event.room)?.events.push(event);
    }
  }

  /**
   * Leaves a draining gateway when it asks for it: until then its connection is good.
   *
   * @param {number} retryAfter milliseconds
   * @param {number} deadline   milliseconds
   */
  #goaway(retryAfter, deadline) {
    const link = this.#link;
    if (!link) return;
    this.#moveAt = performance.now() + retryAfter;
    const timer = setTimeout(() => link.close(), retryAfter);
    link.closed.then(() => clearTimeout(timer));
    this.emit('goaway', { retryAfter, deadline });
  }

  /** The network has probably come back, or changed. */
  #nudge() {
    this.#wake();
    this.#link?.probe(PROBE_DEADLINE);
  }

  /**
   * @param {number} ms
   * @param {AbortSignal} stopped
   * @returns {Promise<void>}
   */
  #pause(ms, stopped) {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        stopped.removeEventListener('abort', done);
        this.#wake = () => {};
        resolve();
      };
      const timer = setTimeout(done, ms);
      stopped.addEventListener('abort', done);
      this.#wake = done;
    });
  }

  /**
   * @param {SignalboxError} error
   * @param {'left' | 'lost'} reason
   */
  #stop(error, reason) {
    if (!this.#running) return;
    const running = this.#running;
    this.#running = undefined;
    for (const room of [...this.#rooms.values()]) {
      if (reason === 'left') room.leave().catch(() => {});
      else room._close({ reason, error });
    }
    this.#gate.fail(error);
    this.#link = undefined;
    running.abort();
    this.#backoff.reset();
    this.#welcome = undefined;
    this.#setState('closed', { error });
  }

  /**
   * @param {ClientState} state
   * @param {{error?: SignalboxError, delay?: number}} [detail]
   */
  #setState(state, detail = {}) {
    this.#state = state;
    this.emit('state', { state, ...detail });
  }
}

/**
 * @param {string | URL} given
 * @returns {string}
 */
function connectURL(given) {
  const url = new URL(given);
  url.protocol = { 'http:': 'ws:', 'https:': 'wss:' }[url.protocol] ?? url.protocol;
  if (url.pathname === '/') url.pathname = '/v1/connect';
  url.hash = '';
  return url.href;
}
