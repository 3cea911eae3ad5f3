/**
 * React hooks, for React 18 and later: a client, a room, who is in it, and a call. What a hook opens it closes with its component, and once
 * only in StrictMode.
 *
 * @module @signalbox/client/react
 */

import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from 'react';
import { Call, Signalbox } from './index.js';

/** @import { ClientState, JoinOptions, Peer, Place, Room, RoomEvents, RoomStatus, SignalboxOptions, WaitOptions } from './index.js' */

/**
 * @typedef {object} ClientView
 * @property {Signalbox} [client] once there is one
 * @property {ClientState} state
 * @property {Error} [error] why it is not connected
 *
 * @typedef {JoinOptions & WaitOptions & {onJoin?: (room: Room) => void}} RoomOptions `onJoin` is called in the turn in which the seat is
 *   given: listeners that are added there miss nothing. Changes of the options count from the next join on
 *
 * @typedef {object} RoomView
 * @property {Room} [room]      with a seat
 * @property {RoomStatus | 'joining'} status
 * @property {Place} [place]    in the queue, with `wait`
 * @property {Error} [error]    why there is no seat
 * @property {RoomEvents['closed']} [closed] how the seat was lost or the room has ended
 * @property {() => void} rejoin asks for a seat again
 *
 * @typedef {RoomOptions & {stream?: MediaStream | null, configuration?: RTCConfiguration}} UseCallOptions `stream` may come later, and change
 *
 * @typedef {object} Remote
 * @property {Peer} peer
 * @property {readonly MediaStream[]} streams
 * @property {RTCPeerConnectionState} state
 *
 * @typedef {object} CallView
 * @property {Call} [call]
 * @property {Remote[]} remotes the others in the room
 */

/** @type {Remote[]} */
const NOBODY = [];
/** @type {Peer[]} */
const NO_PEERS = [];
/** Events of a room after which others are there, or the same otherwise. */
const PEOPLE = /** @type {const} */ (['peer-joined', 'peer-left', 'peer-state', 'resync']);

/**
 * A connected client.
 *
 * @param {string | URL | null | undefined} url of the gateway; without one there is no client yet
 * @param {SignalboxOptions} [options] another `app`, `name` or `token` makes another client; of the rest, what is given first counts
 * @returns {ClientView}
 */
export function useSignalbox(url, options = {}) {
  return useOpened(/** @type {ClientView} */ ({ state: 'closed' }), (set) => {
    if (!url) return () => {};
    const client = new Signalbox(url, options);
    client.addEventListener('state', ({ detail: { state, error } }) => set({ state, error }));
    client.connect().catch((error) => set({ error }));
    set({ client, state: client.state });
    return () => client.close();
  }, [url && String(url), options.app, options.name, options.token]);
}

/**
 * A seat in a room.
 *
 * @param {Signalbox | undefined} client
 * @param {string | null | undefined} name without one there is no room yet
 * @param {RoomOptions} [options]
 * @returns {RoomView}
 */
export function useRoom(client, name, options = {}) {
  const [attempt, setAttempt] = useState(0);
  const view = useOpened(/** @type {Omit<RoomView, 'rejoin'>} */ ({ status: 'joining' }), (set) => {
    if (!client || !name) return () => {};
    const { onJoin, onPosition, ...join } = options;
    const over = new AbortController();
    const { signal } = over;
    /** @type {Room} */
    let room;
    /** @param {Room} joined */
    const enter = (joined) => {
      room = joined;
      room.addEventListener('status', ({ detail }) => room === joined && set({ status: detail.status }), { signal });
      room.addEventListener('closed', ({ detail }) => room === joined && set({ closed: detail }), { signal });
      room.addEventListener('moved', ({ detail }) => enter(detail.room), { signal });
      onJoin?.(room);
      set({ room, status: room.status, place: undefined });
    };
    const tell = (/** @type {Place} */ place) => {
      set({ place });
      onPosition?.(place);
    };
    client.join(name, { ...join, signal, onPosition: tell }).then(enter, (error) => signal.aborted || set({ error, status: 'closed' }));
    return () => {
      over.abort();
      room?.leave().catch(() => {}); // without a connection the seat goes with the session
    };
  }, [client, name, attempt]);
  return { ...view, rejoin: () => setAttempt((before) => before + 1) };
}

/**
 * Who is in a room, oneself among them (`room.self.id`), in the order of their coming. The same array as long as nothing changes.
 *
 * @param {Room | undefined} room
 * @returns {Peer[]}
 */
export function usePeers(room) {
  const last = useRef(NO_PEERS);
  const peers = () => {
    const now = room ? [...room.peers.values()] : NO_PEERS;
    if (now.length !== last.current.length || now.some((peer, i) => peer !== last.current[i])) last.current = now;
    return last.current;
  };
  const subscribe = useCallback((/** @type {() => void} */ changed) => {
    const over = new AbortController();
    if (room) for (const type of PEOPLE) room.addEventListener(type, changed, { signal: over.signal });
    return () => over.abort();
  }, [room]);
  return useSyncExternalStore(subscribe, peers, () => NO_PEERS);
}

/**
 * A seat in a room, and a call with everybody there.
 *
 * @param {Signalbox | undefined} client
 * @param {string | null | undefined} name
 * @param {UseCallOptions} [options]
 * @returns {RoomView & CallView}
 */
export function useCall(client, name, { stream, configuration, onJoin, ...options } = {}) {
  const [store] = useState(() => new Store(/** @type {CallView} */ ({ remotes: NOBODY })));
  /** What the call sends. */
  const sent = useRef(stream);
  const view = useRoom(client, name, {
    ...options,
    onJoin(room) {
      onJoin?.(room);
      store.get().call?.close();
      sent.current = stream;
      const call = new Call(/** @type {Signalbox} */ (client), room, { stream: stream ?? undefined, configuration });
      store.set({ call });
      follow(call, room, (change) => store.get().call === call && store.set(change));
    },
  });
  const { call, remotes } = useSyncExternalStore(store.subscribe, store.get, store.get);
  useEffect(() => {
    if (!call || sent.current === stream) return;
    const [before, after] = [sent.current?.getTracks() ?? [], stream?.getTracks() ?? []];
    sent.current = stream;
    const gone = before.filter((track) => !after.includes(track));
    for (const track of after.filter((one) => !before.includes(one))) {
      const i = gone.findIndex(({ kind }) => kind === track.kind);
      if (i >= 0) call.replaceTrack(gone.splice(i, 1)[0], track);
      else call.addTrack(track, /** @type {MediaStream} */ (stream));
    }
    for (const track of gone) call.removeTrack(track);
  }, [call, stream]);
  return { ...view, call, remotes };
}

/**
 * Tells of the others in a call, now and whenever something changes.
 *
 * @param {Call} call
 * @param {Room} room
 * @param {(change: Partial<CallView>) => void} tell
 */
function follow(call, room, tell) {
  /** By peer id. @type {Map<string, {connection: unknown, streams: readonly MediaStream[], state: RTCPeerConnectionState}>} */
  const media = new Map();
  const all = () => tell({
    remotes: [...room.peers.values()].filter(({ id }) => id !== room.self.id).map((peer) => {
      const { streams = [], state = 'new' } = media.get(peer.id) ?? {};
      return { peer, streams, state };
    }),
  });
  /**
   * @param {{peer: Peer, connection: unknown, streams?: readonly MediaStream[], state?: RTCPeerConnectionState}} detail
   */
  const note = ({ peer, connection, streams = [], state }) => {
    const before = media.get(peer.id);
    // A connection that takes the place of another has nothing of it.
    const known = before?.connection === connection ? before : undefined;
    media.set(peer.id, {
      connection, streams: [...new Set([...(known?.streams ?? []), ...streams])], state: state ?? known?.state ?? 'new',
    });
    all();
  };
  call.addEventListener('track', ({ detail }) => note(detail));
  call.addEventListener('connection', ({ detail }) => note(detail));
  room.addEventListener('peer-left', ({ detail }) => media.delete(detail.peer.id));
  for (const type of PEOPLE) room.addEventListener(type, all);
  room.addEventListener('closed', () => tell({ call: undefined, remotes: NOBODY }));
  all();
}

/**
 * A value that components follow.
 *
 * @template {object} T
 */
class Store {
  #value;
  /** @type {Set<() => void>} */
  #listeners = new Set();

  /** @param {T} value */
  constructor(value) {
    this.#value = value;
  }

  get = () => this.#value;

  /** @param {() => void} listener */
  subscribe = (listener) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** @param {Partial<T>} change */
  set(change) {
    this.replace({ ...this.#value, ...change });
  }

  /** @param {T} value */
  replace(value) {
    this.#value = value;
    for (const listener of this.#listeners) listener();
  }
}

/**
 * Something that is open as long as a component wants it.
 *
 * @template {object} T
 * @extends {Store<T>}
 */
class Held extends Store {
  #none;
  /** @type {unknown[]} */
  #deps = [];
  /** @type {(() => void) | undefined} */
  #close;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {T} none */
  constructor(none) {
    super(none);
    this.#none = none;
  }

  /**
   * @param {(set: (change: Partial<T>) => void) => () => void} open gives what closes it
   * @param {unknown[]} deps
   */
  hold(open, deps) {
    clearTimeout(this.#timer);
    // StrictMode takes a component away and puts it back in one turn, which is no reason to close anything.
    if (this.#close && deps.every((dep, i) => dep === this.#deps[i])) return;
    this.#close?.();
    this.#deps = deps;
    let isOpen = true;
    this.replace(this.#none);
    const close = open((change) => isOpen && this.set(change));
    this.#close = () => {
      isOpen = false;
      close();
    };
  }

  release() {
    this.#timer = setTimeout(() => {
      this.#close?.();
      this.#close = undefined;
    });
  }
}

/**
 * @template {object} T
 * @param {T} none what is told as long as nothing is open
 * @param {(set: (change: Partial<T>) => void) => () => void} open
 * @param {unknown[]} deps what makes it another one
 * @returns {T}
 */
function useOpened(none, open, deps) {
  const [held] = useState(() => new Held(none));
  useEffect(() => {
    held.hold(open, deps);
    return () => held.release();
  }, deps);
  return useSyncExternalStore(held.subscribe, held.get, held.get);
}
