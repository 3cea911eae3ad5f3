// The stock socket.io clients: loaded as any page loads them, and connected to the gateway that serves this page.

import { given } from './page.js';
import { SignalboxError, withSignalbox } from './sdk.js';

/** The clients by generation. Each file makes a global `io`. */
const CLIENTS = {
  4: { version: '4.8.4', file: 'third_party/socket.io-client/4.8.4/socket.io.min.js' },
  2: { version: '2.5.0', file: 'third_party/socket.io-client/2.5.0/socket.io.js' },
};

/** How the clients reach the gateway. */
const TRANSPORTS = { upgrade: ['polling', 'websocket'], websocket: ['websocket'], polling: ['polling'] };

/** How long an answer may take, in milliseconds. */
const PATIENCE = 10_000;

/** After what time a refusal for the moment is tried again, in milliseconds. */
const AGAIN = 1_000;

/** Refusals for the moment. */
const MOMENTARY = new Set(['unavailable', 'rate_limited', 'timeout']);

/** The `io` functions that are loaded, by generation. */
const loaded = new Map();

/**
 * A connection of a stock client. Its 'state' event tells of the connection in the words of the Signalbox client, with
 * {state, error}; a connection that ended for good is `closed`. Everything else is said and heard by `socket`.
 */
export class StockClient extends EventTarget {
  #generation;
  #options;
  #namespace;
  #state = 'connecting';
  #transport = '';
  /** What waits for an answer: functions that refuse. */
  #asked = new Set();
  /** What the gateway said last, to tell why it ends the connection. */
  #told = null;

  /** @param {{generation: string, transport?: string, namespace?: string, name: string}} options */
  constructor({ generation, transport = 'upgrade', namespace = '/', name }) {
    super();
    this.#generation = CLIENTS[generation] ? generation : '4';
    this.#namespace = namespace;
    const { app, token } = given;
    const who = token ? { token, name } : { app, name };
    const transports = TRANSPORTS[transport] ?? TRANSPORTS.upgrade;
    this.#options = {
      transports,
      // A connection of its own: one that is shared would keep the options of the one before.
      forceNew: true,
      reconnectionDelay: 500,
      reconnectionDelayMax: 3_000,
      ...(this.#generation === '2' ? olderAuth(who, transports) : { auth: who }),
    };
  }

  /** connecting, connected, reconnecting or closed. */
  get state() {
    return this.#state;
  }

  /** The client's name and version. */
  get version() {
    return `socket.io ${CLIENTS[this.#generation].version}`;
  }

  /** What carries the messages: polling, websocket, or the one after the other. */
  get transport() {
    return this.#transport;
  }

  /**
   * Connects, for as long as it takes.
   *
   * @param {{signal: AbortSignal}} options
   */
  async connect({ signal }) {
    const io = await load(this.#generation);
    signal.throwIfAborted();
    await new Promise((resolve, reject) => {
      const ended = ({ detail }) => detail.state === 'closed' && reject(detail.error);
      this.addEventListener('state', ended);
      const socket = io(location.origin + this.#namespace, this.#options);
      /** The stock client's socket. */
      this.socket = socket;
      /** Takes seats again, keeps connections' ICE servers fresh and tells how calls went. */
      this.helper = withSignalbox(socket);
      socket.on('connect', () => {
        this.removeEventListener('state', ended);
        this.#watchTransport();
        this.#set('connected');
        resolve();
      });
      socket.on('disconnect', (reason) => this.#lost(reason));
      socket.on('connect_error', (error) => this.#failed(error));
      // An event of ours, and in version 2 also what the client itself has to say.
      socket.on('error', (error) => this.#hear(error));
      signal.addEventListener('abort', () => this.#end(signal.reason));
    });
  }

  /** Ends the connection. */
  close() {
    this.#end(new SignalboxError('closed', 'the client was closed'));
  }

  /**
   * Emits an event and waits for its acknowledgement, which is an object: {ok: true, …} or {ok: false, error}.
   *
   * @param {string} event
   * @param {...unknown} args
   */
  ask(event, ...args) {
    return new Promise((resolve, reject) => {
      if (this.#state !== 'connected') {
        reject(new SignalboxError('disconnected', 'there is no connection', { retryable: true }));
        return;
      }
      const settle = (how, value) => {
        clearTimeout(timer);
        this.#asked.delete(refuse);
        how(value);
      };
      const refuse = (error) => settle(reject, error);
      const timer = setTimeout(() => refuse(new SignalboxError('timeout', 'no answer in time', { retryable: true })), PATIENCE);
      this.#asked.add(refuse);
      this.socket.emit(event, ...args, (answer) => (answer.ok ? settle(resolve, answer) : refuse(SignalboxError.fromReply(answer.error))));
    });
  }

  #watchTransport() {
    const { engine } = this.socket.io;
    const [first] = this.#options.transports;
    const show = ({ name }) => {
      this.#transport = name === first ? name : `${first} → ${name}`;
      this.dispatchEvent(new CustomEvent('transport'));
    };
    engine.on('upgrade', show);
    show(engine.transport);
  }

  #lost(reason) {
    this.#refuseAll(new SignalboxError('disconnected', 'the connection was lost', { retryable: true }));
    // Told to go, a client stays away; otherwise it comes back by itself.
    if (reason === 'io server disconnect') this.#end(this.#told ?? new SignalboxError('disconnected', 'the gateway has ended the connection'));
    else if (this.#state !== 'closed') this.#set('reconnecting');
  }

  /** The gateway does not answer, or refuses; the client itself tries again only if it did not answer. */
  #failed(error) {
    if (error?.data?.code) this.#refused(SignalboxError.fromReply(error.data));
    else if (this.#state !== 'closed') this.#set(this.#state, error);
  }

  #hear(error) {
    if (typeof error === 'string') this.#refused(new SignalboxError('refused', error));
    else if (typeof error?.code === 'string' && typeof error.message === 'string' && !(error instanceof Error)) this.#told = SignalboxError.fromReply(error);
  }

  #refused(error) {
    if (!MOMENTARY.has(error.code)) {
      this.#end(error);
      return;
    }
    this.#set(this.#state, error);
    setTimeout(() => {
      if (this.#state !== 'closed') this.socket.disconnect().connect();
    }, AGAIN);
  }

  #end(error) {
    if (this.#state === 'closed') return;
    this.#set('closed', error);
    this.#refuseAll(error);
    this.socket?.disconnect();
  }

  #refuseAll(error) {
    for (const refuse of [...this.#asked]) refuse(error);
  }

  #set(state, error) {
    this.#state = state;
    this.dispatchEvent(new CustomEvent('state', { detail: { state, error } }));
  }
}

/**
 * How clients before version 3 say who they are: in the address, since no message of theirs has a place for it. A token
 * stays out of addresses, which servers write down, where the first request can have a header.
 */
function olderAuth({ token, ...query }, transports) {
  if (!token) return { query };
  if (transports[0] !== 'polling') return { query: { token, ...query } };
  return { query, transportOptions: { polling: { extraHeaders: { Authorization: `Bearer ${token}` } } } };
}

/** Runs the client's file, once. */
function load(generation) {
  if (!loaded.has(generation)) {
    loaded.set(generation, new Promise((resolve, reject) => {
      const script = document.createElement('script');
      script.src = CLIENTS[generation].file;
      // Both set the same global; it is this one's right after it has run.
      script.addEventListener('load', () => resolve(window.io));
      script.addEventListener('error', () => {
        loaded.delete(generation);
        script.remove();
        reject(new SignalboxError('disconnected', 'the client could not be loaded'));
      });
      document.head.append(script);
    }));
  }
  return loaded.get(generation);
}
