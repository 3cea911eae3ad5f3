import { Backoff } from './backoff.js';
import { SignalboxError } from './errors.js';
import { TypedTarget } from './events.js';
import { closeError, failureOf } from './failure.js';
import { Gate } from './gate.js';
import { Link, connectURL, disconnected } from './link.js';
import { Waiting } from './lobby.js';
import { watchPage } from './page.js';
import { pause } from './pause.js';
import { CLIENT, CLOSE_LOST, CLOSE_MOVED, CLOSE_TAKEN_OVER } from './protocol.js';
import { Request } from './request.js';
import { Seats } from './seats.js';
import { Tokens } from './tokens.js';

/** @import { Failure } from './failure.js' */
/** @import { End } from './link.js' */
/** @import { ClientEvents, ClientState, JoinOptions, SignalboxOptions, StateDetail, WaitOptions } from './options.js' */
/** @import { HeadCount, Limits, ServerEvent, Snapshot, Welcome } from './protocol.js' */
/** @import { RequestOptions } from './request.js' */
/** @import { Room } from './room.js' */

/** How long a sign of life may take when the network has probably changed, in milliseconds. */
const PROBE_DEADLINE = 5_000;

/** How long the gateway that is left may take to close its connection, in milliseconds. */
const TAKEOVER_DEADLINE = 5_000;

/**
 * A client of a Signalbox cluster: one session, which is resumed by itself when its connection is lost, on whichever
 * gateway. Where it cannot be, there is a new session that takes its seats again.
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
  /** The token to resume the session with. @type {string | undefined} */
  #resume;
  /** The session's connections so far, also those that were not made. */
  #attempt = 0;
  #lastID = 0;
  /** Calls of connect() that wait for `#link`. */
  #gate = new Gate();
  /** Ends the pause before the next attempt. @type {(() => void) | undefined} */
  #wake;
  /** Until when a lost connection is followed by the next attempt at once, by performance.now(). */
  #hurryUntil = 0;
  #tokens;
  #seats;
  /** What the gateway's clock is ahead of performance.now(), in milliseconds. @type {number | undefined} */
  #clock;
  /** When the draining gateway wants to be left, by performance.now(). */
  #moveAt = 0;
  /** Says that the connection in force is to be left for another. */
  #move = () => {};
  /** Whether the next connection is being made while this one serves. */
  #moving = false;
  /**
   * @param {string | URL} url the gateway: `https://host` or `wss://host/path`; the path is `/v1/connect` where the
   *   URL has none
   * @param {SignalboxOptions} [options]
   */
  constructor(url, options = {}) {
    super();
    this.#url = connectURL(url);
    this.#options = options;
    this.#tokens = new Tokens(options);
    this.#seats = new Seats({
      request: (type, fields, options, room) => this.#request(type, fields, options, room),
      submit: (request) => this.#link?.submit(request),
    });
    const WebSocket = options.WebSocket ?? /** @type {any} */ (globalThis).WebSocket;
    if (!WebSocket) throw new TypeError('this platform has no WebSocket: give one in the options');
    this.#WebSocket = WebSocket;
    this.#backoff = new Backoff(options.backoff);
    this.#openTimeout = options.openTimeout ?? 10_000;
  }

  /**
   * A client that is connected.
   *
   * @param {string | URL} url as of the constructor
   * @param {SignalboxOptions & {signal?: AbortSignal}} [options] `signal` gives up connecting
   * @returns {Promise<Signalbox>}
   */
  static async connect(url, { signal, ...options } = {}) {
    const client = new Signalbox(url, options);
    await client.connect({ signal });
    return client;
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

  /** The gateway's clock in Unix milliseconds, as far as it is known: for {@link spotlightPeer}. */
  now() {
    return this.#clock === undefined ? Date.now() : performance.now() + this.#clock;
  }

  /** The rooms with a seat, by name. @returns {ReadonlyMap<string, Room>} */
  get rooms() {
    return this.#seats._rooms;
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
    if (this.#link) return;
    try {
      await this.#gate.wait(signal);
    } catch (error) {
      if (signal?.aborted && this.#running === running && this.#state === 'connecting') this.close();
      throw error;
    }
  }

  /**
   * Takes a seat. During a reconnect it waits for the connection; a join whose session is lost is sent again in the
   * next, since the seat is lost, too. A room that one is in already gives the same Room, with a new snapshot.
   *
   * @param {string} name
   * @param {JoinOptions & WaitOptions & RequestOptions} [options] `timeout`: for the gateway's reply, however long one waits then
   * @returns {Promise<Room>}
   */
  async join(name, { wait, onPosition, ...options } = {}) {
    if (!wait) return /** @type {Room} */ (await this.#seats._join(name, options));
    const waiting = this.wait(name, options);
    if (onPosition) waiting.addEventListener('position', ({ detail }) => onPosition(detail));
    return waiting.room;
  }

  /**
   * Takes a seat or, where there is none to be had, a place in the queue: what `join` does with `wait`, for those who want to
   * show the place.
   *
   * @param {string} name
   * @param {JoinOptions & RequestOptions} [options] as of `join`
   * @returns {Waiting}
   */
  wait(name, options = {}) {
    const waiting = new Waiting(name, (one, options) => this.#seats._lobby.giveUp(one, options), options.signal);
    if (!waiting.ended) {
      this.#seats._join(name, options, waiting).then((room) => {
        if (room) waiting._seated(room);
        else if (room === null) this.#seats._giveUp(name);
      }, (error) => waiting._end(error));
    }
    return waiting;
  }

  /**
   * Goes on with the session under another token of the same user, over the live connection. With `getToken` the client does so by
   * itself when its token is about to expire.
   *
   * @param {string} [token] what `getToken` gives, if absent
   * @param {RequestOptions} [options]
   * @returns {Promise<number>} when it has to be refreshed again, in Unix milliseconds of the gateway's clock
   */
  async refresh(token, options) {
    const fresh = token ?? (await this.#tokens.fetch());
    const accept = (/** @type {{expires: number, resume?: string}} */ { expires, resume }) => {
      this.#tokens.accept(fresh);
      if (resume !== undefined) this.#resume = resume;
      return expires;
    };
    const expires = await this.#request('refresh', { token: fresh }, { ...options, accept });
    this.emit('refreshed', { expires });
    return expires;
  }

  /**
   * Asks how many are in a room, or, for members, who.
   *
   * @param {string} room
   * @param {{list?: boolean} & RequestOptions} [options]
   * @returns {Promise<HeadCount | Snapshot>}
   */
  async peers(room, { list, ...options } = {}) {
    return this.#request('peers', { room, list }, options);
  }

  /** Gives up all seats, the session and the connection. `connect` starts anew. */
  close() {
    this.#stop(new SignalboxError('closed', 'the client was closed'), 'left');
  }

  /** Closes, at the end of a block with `await using`. */
  async [Symbol.asyncDispose]() {
    this.close();
  }

  #start() {
    const running = new AbortController();
    this.#running = running;
    this.#setState('connecting');
    watchPage(running.signal, {
      nudge: () => this.#nudge(),
      changed: (online) => {
        this.#nudge();
        this.emit('network', { online });
      },
      away: () => this.#link?.close(CLOSE_LOST, 'the page is put away'),
      gone: () => this.close(),
    });
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
      const made = await this.#connectOnce(stopped);
      const failure = made instanceof Link ? await this.#serve(made) : made;
      if (stopped.aborted) return;
      // It is time to move: the next connection is made while this one serves.
      this.#moving = !failure || this.#link !== undefined;
      if (!failure) continue;
      const { error, final } = failure;
      if (final && !this.#link) {
        this.#stop(error, 'lost');
        return;
      }
      const untilMove = this.#moveAt - performance.now();
      this.#moveAt = 0;
      const hurries = performance.now() < this.#hurryUntil;
      this.#hurryUntil = 0;
      const delay = Math.max(hurries ? 0 : this.#backoff.next(), error.retryAfter, untilMove);
      if (!this.#link) this.#lost({ error, delay });
      await this.#pause(delay, stopped);
    }
  }

  /**
   * Makes a connection and says hello.
   *
   * @param {AbortSignal} stopped
   * @returns {Promise<Link | Failure>}
   */
  async #connectOnce(stopped) {
    try {
      // A session is resumed without one. It is fetched now since hello must not be late.
      if (this.#resume === undefined) await this.#tokens.next();
    } catch (error) {
      return failureOf(/** @type {SignalboxError} */ (error));
    }
    const link = new Link(this.#url, {
      WebSocket: this.#WebSocket,
      openTimeout: this.#openTimeout,
      nextID: () => ++this.#lastID,
      onEvent: (event) => this.#event(event),
    });
    const stop = () => link.close();
    stopped.addEventListener('abort', stop);
    link.closed.then(() => stopped.removeEventListener('abort', stop));
    if (stopped.aborted) stop();
    this.#attempt += 1;
    /** @type {SignalboxError | undefined} */
    let refusal;
    await link.opened;
    if (!link.ended) {
      try {
        await this.#greet(link);
        return link;
      } catch (error) {
        refusal = /** @type {SignalboxError} */ (error);
        // Not 1000: the gateway may have taken the session over, with an answer that was lost.
        link.close(CLOSE_LOST, 'no hello');
      }
    }
    return this.#judge(await link.closed, refusal);
  }

  /**
   * Resumes the session, or begins one.
   *
   * @param {Link} link
   */
  async #greet(link) {
    if (this.#resume !== undefined) {
      try {
        const rooms = this.#seats._positions;
        await this.#hello(link, { resume: this.#resume, rooms });
        return;
      } catch (cause) {
        const error = /** @type {SignalboxError} */ (cause);
        if (error.retryable) throw error;
        // Not a fault of the client's: a new session may be let in.
        this.#endSession();
        if (error.code !== 'resume_refused') throw new SignalboxError('resume_refused', error.message, { retryable: true, cause });
        await this.#tokens.next();
        if (link.ended) throw new SignalboxError('timeout', 'the token came too late for this connection', { retryable: true, cause });
        this.#attempt = 1;
      }
    }
    const { app, name } = this.#options;
    const token = this.#tokens.current;
    await this.#hello(link, { ...(token === undefined ? { app, name } : { token }), resumable: true });
  }

  /**
   * @param {Link} link
   * @param {object} fields
   */
  #hello(link, fields) {
    return link.request('hello', { ...fields, attempt: this.#attempt, client: CLIENT }, {
      timeout: this.#openTimeout,
      accept: (welcome) => this.#welcomed(link, welcome),
    });
  }

  /**
   * A hello is in force. What is sent from now on goes this way: first what has no reply yet.
   *
   * @param {Link} link
   * @param {Welcome} welcome
   */
  #welcomed(link, welcome) {
    const resumed = welcome.resumed === true;
    if (this.#link) this.#supersede(this.#link, resumed);
    this.#link = link;
    this.#welcome = welcome;
    this.#resume = welcome.resume ?? (resumed ? this.#resume : undefined);
    this.#moving = false;
    this.#tokens.accept();
    this.#clock = welcome.time - performance.now();
    this.#moveAt = 0;
    this.#iceServers = welcome.iceServers ?? [];
    link.establish(welcome.limits ?? {}, welcome.heartbeat);
    link.closed.then((end) => this.#unlink(link, end));

    const replayed = this.#seats._goOn(link, resumed, (resumed && welcome.rooms) || {});
    this.#gate.open();
    for (const room of replayed) room._resumed();
    if (this.#link !== link) return;
    this.#setState('connected', { resumed });
    this.emit('ice', { iceServers: this.#iceServers });
  }

  /**
   * Leaves a connection for another that is there already.
   *
   * @param {Link} old
   * @param {boolean} resumed
   */
  #supersede(old, resumed) {
    this.#seats._hold(old.release());
    if (!resumed) {
      old.close();
      return;
    }
    // The takeover closes it, unless its gateway hangs.
    const timer = setTimeout(() => old.close(CLOSE_LOST, 'left for another connection'), TAKEOVER_DEADLINE);
    old.closed.then(() => clearTimeout(timer));
  }

  /**
   * Waits until the connection ends, or is to be left for another.
   *
   * @param {Link} link
   * @returns {Promise<Failure | undefined>}
   */
  async #serve(link) {
    const end = await Promise.race([link.closed, new Promise((resolve) => (this.#move = () => resolve(undefined)))]);
    return end && this.#judge(end);
  }

  /**
   * @param {Link} link
   * @param {End} end
   */
  #unlink(link, { code, reason, lasted }) {
    if (this.#link !== link) return;
    this.#link = undefined;
    if (lasted >= this.#backoff.healthy) this.#backoff.reset();
    this.#seats._hold(link.release());
    if (this.#resume === undefined) {
      for (const request of [...this.#seats._held]) if (request.id > 0) request.fail(disconnected(code));
    }
    if (!this.#moving) return;
    // It is one's own next connection that takes over, and is about to say so, or should be asked again.
    if (code === CLOSE_TAKEN_OVER) this.#wake?.();
    else if (code !== CLOSE_MOVED || this.#wake) this.#lost({ error: closeError(code, reason) });
  }

  /** @param {{error: SignalboxError, delay?: number}} detail */
  #lost(detail) {
    for (const room of [...this.#seats._rooms.values()]) room._lost();
    this.#setState(this.#welcome ? 'reconnecting' : 'connecting', detail);
  }

  /**
   * Whether, and why, there is no coming back.
   *
   * @param {End} end
   * @param {SignalboxError} [refusal] of hello
   * @returns {Failure}
   */
  #judge({ code, reason }, refusal) {
    if (refusal && refusal.code !== 'disconnected') return this.#judgeError(refusal);
    return this.#judgeError(closeError(code, reason));
  }

  /**
   * @param {SignalboxError} error
   * @returns {Failure}
   */
  #judgeError(error) {
    if (error.code !== 'unauthorized') return failureOf(error);
    this.#endSession();
    if (!this.#tokens.haveSource) return failureOf(error);
    this.#tokens.refuse();
    return { error, final: false };
  }

  /** The next hello begins a session. */
  #endSession() {
    this.#resume = undefined;
    this.#attempt = 0;
  }

  /** Goes on with another token, as the one before is about to expire. */
  async #renew() {
    const [link, running] = [this.#link, this.#running];
    const backoff = new Backoff({ min: 1_000, max: 15_000 });
    while (link && this.#link === link) {
      try {
        await this.refresh();
        return;
      } catch (error) {
        if (this.#link !== link) return;
        this.emit('refresh-failed', { error });
      }
      await pause(backoff.next(), running?.signal);
    }
  }

  /**
   * Sends a request, as soon as there is a connection.
   *
   * @param {string} type
   * @param {{[field: string]: any}} fields
   * @param {RequestOptions} [options]
   * @param {Room} [room] whose seat it needs, or is to take
   * @returns {Promise<any>}
   */
  async #request(type, fields, options, room) {
    if (!this.#running) throw new SignalboxError('closed', 'the client is not connected: call connect() first');
    // What is soon out of date is sent at most once, and now.
    const request = new Request(type, fields, options, { once: fields.volatile === true, room });
    if (this.#link && !this.#link.ended && !this.#seats._lacks(request)) this.#link.submit(request);
    else if (request.once) request.fail(disconnected());
    else request.waitIn(this.#seats._held);
    return request.promise;
  }

  /** @param {ServerEvent} event */
  #event(event) {
    if (event.type === 'ice') {
      this.#iceServers = event.iceServers ?? [];
      this.emit('ice', { iceServers: this.#iceServers });
    } else if (event.type === 'goaway') {
      this.#goaway(event.retryAfter ?? 0, event.deadline ?? 0);
    } else if (event.type === 'expiring') {
      this.emit('expiring', { at: event.at });
      if (this.#tokens.haveSource) this.#renew();
    } else if (event.room !== undefined) {
      this.#seats._event(event);
    }
  }

  /**
   * Leaves a draining gateway when it asks for it: until then its connection is good. A session that cannot be resumed
   * is given up before the next begins, so that it is not in that one's way.
   *
   * @param {number} retryAfter milliseconds
   * @param {number} deadline   milliseconds
   */
  #goaway(retryAfter, deadline) {
    const link = this.#link;
    if (!link) return;
    this.#moveAt = performance.now() + retryAfter;
    const timer = setTimeout(() => (this.#resume === undefined ? link.close() : this.#move()), retryAfter);
    link.closed.then(() => clearTimeout(timer));
    this.emit('goaway', { retryAfter, deadline });
  }

  /** The network has probably come back, or changed. */
  #nudge() {
    if (this.#link) this.#link.probe(PROBE_DEADLINE);
    else this.#backoff.reset();
    if (this.#wake) this.#wake();
    else this.#hurryUntil = performance.now() + PROBE_DEADLINE + 1_000;
  }

  /**
   * @param {number} ms
   * @param {AbortSignal} stopped
   */
  async #pause(ms, stopped) {
    const woken = new AbortController();
    const wake = () => woken.abort();
    this.#wake = wake;
    stopped.addEventListener('abort', wake, { signal: woken.signal });
    await pause(ms, woken.signal);
    wake();
    this.#wake = undefined;
  }

  /**
   * @param {SignalboxError} error
   * @param {'left' | 'lost'} reason
   */
  #stop(error, reason) {
    if (!this.#running) return;
    const running = this.#running;
    this.#running = undefined;
    // The close code 1000 gives the seats up.
    for (const room of [...this.#seats._rooms.values()]) room._close(reason === 'left' ? { reason } : { reason, error });
    this.#seats._lobby.stop(error);
    this.#gate.fail(error);
    const link = this.#link;
    this.#link = undefined;
    running.abort();
    for (const request of [...(link?.release() ?? []), ...this.#seats._held]) request.fail(request.id > 0 ? disconnected() : error);
    this.#seats._held.clear();
    this.#endSession();
    this.#backoff.reset();
    this.#welcome = undefined;
    this.#setState('closed', { error });
    this.endStreams();
  }

  /**
   * @param {ClientState} state
   * @param {Omit<StateDetail, 'state'>} [detail]
   */
  #setState(state, detail = {}) {
    this.#state = state;
    this.emit('state', { state, ...detail });
  }
}
