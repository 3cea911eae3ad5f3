import { CallChannel, Incoming } from './channel.js';
import { anotherDevice } from './devices.js';
import { TypedTarget } from './events.js';
import { PeerConnection } from './peer-connection.js';

/** @import { ChannelOptions } from './channel.js' */
/** @import { SignalboxError } from './errors.js' */
/** @import { Signalbox } from './client.js' */
/** @import { Peer, Room } from './room.js' */
/** @import { PeerStats } from './statistics.js' */

/**
 * @typedef {object} CallOptions
 * @property {MediaStream} [stream] sent to everybody: camera and microphone
 * @property {RTCConfiguration} [configuration] beside the gateway's ICE servers
 * @property {(track: MediaStreamTrack) => Promise<MediaStreamTrack | undefined>} [recapture] gives another track for one of the stream's
 *   whose device is gone, and is asked again when there are other devices; unless said otherwise it is what the browser chooses
 * @property {number} [uplink] bits a second that one's own video may take, shared out among the peers; unlimited unless said otherwise
 * @property {number} [statsInterval] tells `stats` that often, in milliseconds
 * @property {new (configuration?: RTCConfiguration) => RTCPeerConnection} [RTCPeerConnection] where the platform has none
 *
 * @typedef {object} PeerLink
 * @property {string} id               the peer's
 * @property {PeerConnection} connection
 * @property {boolean} away            as it was last
 * @property {Promise<boolean | void>} described ends when the last description has arrived
 * @property {number} order            the peer's, which tells a seat from the next of the same peer
 * @property {boolean} sends           whether the tracks were added
 * @property {ReturnType<typeof setTimeout>} [waiting] for the other side's first offer
 * @property {Incoming} incoming       its data channels
 * @property {{[stream: string]: unknown}} purposes what its streams are for, as it says
 *
 * @typedef {object} CallEvents
 * @property {{peer: Peer, connection: PeerConnection, track: MediaStreamTrack, streams: readonly MediaStream[], transceiver: RTCRtpTransceiver, purpose: string}} track
 *   `purpose`: `camera`, or what the peer has added its stream for
 * @property {{peer: Peer, track: MediaStreamTrack, stream: MediaStream, purpose: string}} track-removed the peer sends it no more
 * @property {{track: MediaStreamTrack, purpose: string, replacement: MediaStreamTrack | undefined}} own-track one's own track has ended:
 *   its device is gone, or sharing was stopped in the browser; with `replacement` that is sent in its place
 * @property {{stats: Map<string, PeerStats>}} stats by peer id, with the option `statsInterval`
 * @property {{peer: Peer, connection: PeerConnection, state: RTCPeerConnectionState}} connection
 * @property {{peer: Peer, error: unknown}} error a step of a negotiation failed
 */

/** What a stream is for unless it is said otherwise. */
const CAMERA = 'camera';

/**
 * How long the impolite side, which was here first, waits for the newcomer's first offer before it makes its own, in
 * milliseconds. If both began at once, every call would begin with a collision, and one side would throw away what it
 * has gathered. It is the polite side that begins, because Chromium shows no more video of a connection that it has
 * answered first, once an offer of its own is rolled back; the polite side is the one that rolls back.
 */
const FIRST_OFFER = 1_000;

/** How often a signal that was refused for the moment is sent. */
const SIGNAL_ATTEMPTS = 6;

/** How long a signal may wait for a lost connection, in milliseconds: a peer whose signals are missing gets no media. */
const SIGNAL_TIMEOUT = 60_000;

/**
 * A call with everybody in a room: one {@link PeerConnection} a peer, made when the peer comes and closed when it
 * leaves. Make it in the same turn in which `join` gave the room, or the first signals are missed.
 *
 * @extends {TypedTarget<CallEvents>}
 */
export class Call extends TypedTarget {
  #client;
  #room;
  #options;
  #selfID;
  /** By peer id. @type {Map<string, PeerLink>} */
  #links = new Map();
  /** @type {Map<MediaStreamTrack, MediaStream[]>} */
  #tracks = new Map();
  /** The stream that stands for camera and microphone. @type {MediaStream | undefined} */
  #stream;
  /** What the other streams are for, by their ids. @type {Map<string, string>} */
  #purposes = new Map();
  /** One's own tracks whose device is gone. @type {Set<MediaStreamTrack>} */
  #lost = new Set();
  /** By label. @type {Map<string, CallChannel>} */
  #channels = new Map();
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #sampling;
  #listening = new AbortController();

  /**
   * @param {Signalbox} client
   * @param {Room} room
   * @param {CallOptions} [options]
   */
  constructor(client, room, options = {}) {
    super();
    this.#client = client;
    this.#room = room;
    this.#options = options;
    this.#selfID = room.self.id;
    this.#stream = options.stream;
    for (const track of this.#stream?.getTracks() ?? []) this.#own(track, [/** @type {MediaStream} */ (this.#stream)]);

    const { signal } = this.#listening;
    room.addEventListener('peer-joined', ({ detail }) => this.#open(detail.peer), { signal });
    room.addEventListener('peer-left', ({ detail }) => this.#drop(detail.peer.id), { signal });
    room.addEventListener('signal', ({ detail }) => this.#receive(detail.from, detail.data, detail.seq), { signal });
    room.addEventListener('peer-state', ({ detail }) => this.#attend(detail.peer), { signal });
    room.addEventListener('resync', ({ detail }) => this.#resync(detail.newSeat), { signal });
    room.addEventListener('closed', () => this.close(), { signal });
    client.addEventListener('ice', () => this.#renewServers(), { signal });
    client.addEventListener('network', () => this.#restart(), { signal });
    globalThis.navigator?.mediaDevices?.addEventListener?.('devicechange', () => this.#recaptureLost(), { signal });
    for (const peer of room.peers.values()) this.#open(peer);
    if (options.statsInterval) this.#sampling = setInterval(() => this.#sample(), options.statsInterval);
  }

  /** The connections, by peer id. @returns {Map<string, PeerConnection>} */
  get connections() {
    return new Map([...this.#links].map(([id, { connection }]) => [id, connection]));
  }

  /**
   * Sends a track to everybody, also to those who come later.
   *
   * @param {MediaStreamTrack} track
   * @param {...MediaStream} streams
   */
  addTrack(track, ...streams) {
    this.#own(track, streams);
    for (const { connection, sends } of this.#links.values()) {
      if (sends) connection.addTrack(track, streams);
    }
    this.#shareUplink();
  }

  /** @param {MediaStreamTrack} track */
  removeTrack(track) {
    this.#tracks.delete(track);
    this.#lost.delete(track);
    const used = new Set([...this.#tracks.values()].flat().map(({ id }) => id));
    for (const id of this.#purposes.keys()) if (!used.has(id)) this.#purposes.delete(id);
    for (const { connection } of this.#links.values()) connection.removeTrack(track);
    this.#shareUplink();
  }

  /**
   * Sends another track of the same kind in a track's place, without a new negotiation.
   *
   * @param {MediaStreamTrack} track
   * @param {MediaStreamTrack} other
   */
  async replaceTrack(track, other) {
    const streams = this.#tracks.get(track) ?? [];
    this.#tracks.delete(track);
    this.#lost.delete(track);
    this.#own(other, streams);
    await Promise.all([...this.#links.values()].map(({ connection }) => connection.replaceTrack(track, other)));
  }

  /**
   * Changes the streams that a track belongs to.
   *
   * @param {MediaStreamTrack} track
   * @param {...MediaStream} streams
   */
  setStreams(track, ...streams) {
    this.#tracks.set(track, streams);
    for (const { connection } of this.#links.values()) connection.setStreams(track, streams);
  }

  /**
   * Sends another stream for camera and microphone, as after a choice of other devices. Its tracks take the places of those of the same
   * kind, without a new negotiation, and to the others it stays the same stream. The tracks that were sent before are not stopped.
   *
   * @param {MediaStream | undefined} stream undefined for nothing
   */
  async setStream(stream) {
    const label = this.#stream ?? stream;
    this.#stream = label;
    const before = [...this.#tracks].filter(([, [first]]) => first !== undefined && first === label).map(([track]) => track);
    const tracks = stream?.getTracks() ?? [];
    const added = tracks.filter((track) => !before.includes(track));
    const replaced = [];
    for (const track of before.filter((track) => !tracks.includes(track))) {
      const n = added.findIndex(({ kind }) => kind === track.kind);
      if (n < 0) this.removeTrack(track);
      else replaced.push(this.replaceTrack(track, added.splice(n, 1)[0]));
    }
    for (const track of added) this.addTrack(track, /** @type {MediaStream} */ (label));
    await Promise.all(replaced);
  }

  /**
   * Sends one more stream, as of a shared screen. The others get its purpose with its tracks.
   *
   * @param {MediaStream} stream
   * @param {string} [purpose]
   */
  addStream(stream, purpose = 'screen') {
    this.#purposes.set(stream.id, purpose);
    for (const track of stream.getTracks()) this.addTrack(track, stream);
  }

  /**
   * Sends no track of a stream any more. They are not stopped.
   *
   * @param {MediaStream} stream
   */
  removeStream(stream) {
    for (const [track, streams] of [...this.#tracks]) if (streams.includes(stream)) this.removeTrack(track);
    if (this.#stream === stream) this.#stream = undefined;
  }

  /**
   * Data channels to everybody under a label, also to those who come later; the others get them by the same call. The same label gives
   * the same channel, until that is closed.
   *
   * @param {string} label
   * @param {ChannelOptions} [options]
   * @returns {CallChannel}
   */
  channel(label, options = {}) {
    const known = this.#channels.get(label);
    if (known) return known;
    const peer = (/** @type {string} */ id) => /** @type {Peer} */ (this.#room.peers.get(id));
    const channel = new CallChannel(label, options, peer, () => this.#channels.delete(label));
    this.#channels.set(label, channel);
    for (const [id, { connection, sends }] of this.#links) if (sends) channel._connect(id, connection.pc);
    // In the next task the application has its listeners.
    setTimeout(() => {
      for (const { incoming } of this.#links.values()) incoming.tell(channel);
    });
    return channel;
  }

  /** How each connection does, by peer id, since it was asked before. @returns {Promise<Map<string, PeerStats>>} */
  async stats() {
    const links = [...this.#links];
    const all = await Promise.all(links.map(async ([id, { connection }]) => /** @type {[string, PeerStats]} */ ([id, await connection.stats()])));
    return new Map(all.filter(([id]) => this.#links.has(id)));
  }

  /** Closes all connections. The room and the tracks stay as they are. */
  close() {
    this.#listening.abort();
    clearInterval(this.#sampling);
    for (const id of [...this.#links.keys()]) this.#drop(id);
    this.endStreams();
  }

  /** Closes, at the end of a block with `using`. */
  [Symbol.dispose]() {
    this.close();
  }

  /** @param {Peer} peer */
  #open(peer) {
    if (peer.id === this.#selfID) return;
    if (this.#links.get(peer.id)?.order === peer.order) return;
    this.#drop(peer.id);
    const polite = this.#room.self.order > peer.order;
    const connection = new PeerConnection({
      polite,
      send: (data, about) => this.#send(peer.id, data, about),
      report: (outcome) => this.#room.report({ peer: peer.id, ...outcome }).catch(() => {}),
      beforeAnswer: () => this.#sendTracks(link),
      configuration: this.#configuration(),
      RTCPeerConnection: this.#options.RTCPeerConnection,
    });
    /** @type {PeerLink} */
    const link = {
      id: peer.id, connection, order: peer.order, away: peer.away, described: Promise.resolve(), sends: false, purposes: {},
      incoming: new Incoming(peer.id, connection.pc, this.#channels),
    };
    this.#links.set(peer.id, link);
    const latest = () => this.#room.peers.get(peer.id) ?? peer;
    connection.addEventListener('track', ({ detail }) => {
      const { track, streams } = detail;
      const purpose = purposeOf(link, streams);
      for (const stream of streams) {
        const over = new AbortController();
        stream.addEventListener('removetrack', (event) => {
          if (event.track !== track) return;
          over.abort();
          this.emit('track-removed', { peer: latest(), track, stream, purpose });
        }, { signal: over.signal });
      }
      this.emit('track', { peer: latest(), connection, ...detail, purpose });
    });
    connection.addEventListener('connection', ({ detail }) => this.emit('connection', { peer: latest(), connection, ...detail }));
    connection.addEventListener('error', ({ detail }) => this.emit('error', { peer: latest(), ...detail }));
    if (polite) this.#sendTracks(link);
    else link.waiting = setTimeout(() => this.#sendTracks(link), FIRST_OFFER);
  }

  /** @param {PeerLink} link */
  #sendTracks(link) {
    if (link.sends) return;
    link.sends = true;
    clearTimeout(link.waiting);
    for (const [track, streams] of this.#tracks) link.connection.addTrack(track, streams);
    for (const channel of this.#channels.values()) channel._connect(link.id, link.connection.pc);
    this.#shareUplink();
  }

  /**
   * One's own track, which may end before it is removed.
   *
   * @param {MediaStreamTrack} track
   * @param {MediaStream[]} streams
   */
  #own(track, streams) {
    this.#tracks.set(track, streams);
    track.addEventListener?.('ended', () => this.#ended(track), { signal: this.#listening.signal, once: true });
  }

  /** @param {MediaStreamTrack} track */
  async #ended(track) {
    const streams = this.#tracks.get(track);
    if (!streams) return;
    const purpose = this.#purposes.get(streams[0]?.id) ?? CAMERA;
    if (purpose === CAMERA) {
      this.#lost.add(track);
      if (await this.#recapture(track)) return;
    } else {
      this.removeTrack(track);
    }
    this.emit('own-track', { track, purpose, replacement: undefined });
  }

  /**
   * Sends another track in the place of one whose device is gone.
   *
   * @param {MediaStreamTrack} track
   */
  async #recapture(track) {
    const { recapture = anotherDevice } = this.#options;
    let replacement;
    try {
      replacement = await recapture(track);
    } catch {
      // There is no other device, or it may not be used.
    }
    if (!replacement) return false;
    const streams = this.#tracks.get(track);
    if (!streams || this.#listening.signal.aborted) {
      replacement.stop(); // nobody wants it any more
      return true;
    }
    replacement.enabled = track.enabled;
    await this.replaceTrack(track, replacement);
    for (const stream of streams) {
      stream.removeTrack(track);
      stream.addTrack(replacement);
    }
    this.emit('own-track', { track, purpose: CAMERA, replacement });
    return true;
  }

  #recaptureLost() {
    for (const track of [...this.#lost]) this.#recapture(track);
  }

  /** Shares out what video may take: each gets as much. */
  #shareUplink() {
    const { uplink } = this.#options;
    if (!uplink) return;
    for (const { connection } of this.#links.values()) connection.limitVideo(uplink / this.#links.size);
  }

  async #sample() {
    if (this.#links.size === 0) return;
    const stats = await this.stats();
    if (!this.#listening.signal.aborted) this.emit('stats', { stats });
  }

  /** The network is another one: the way to everybody may be another one, too. */
  #restart() {
    for (const { connection } of this.#links.values()) connection.restart({ force: true });
  }

  /**
   * @param {string} from
   * @param {any} data
   * @param {number} [seq] of the event
   */
  #receive(from, data, seq) {
    const link = this.#links.get(from);
    if (!link) return;
    if (data.description) link.purposes = data.streams ?? {};
    link.connection.receive(data, seq);
  }

  /**
   * A peer that is away keeps its connection: media need no signaling.
   *
   * @param {Peer} peer
   */
  #attend(peer) {
    const link = this.#links.get(peer.id);
    if (!link) return;
    const isBack = link.away && !peer.away;
    link.away = peer.away;
    if (isBack) link.connection.restart();
  }

  /** @param {string} id */
  #drop(id) {
    const link = this.#links.get(id);
    if (!link) return;
    this.#links.delete(id);
    clearTimeout(link.waiting);
    link.connection.close();
    this.#shareUplink();
  }

  /**
   * Makes the connections fit who is there.
   *
   * @param {boolean} newSeat to the others one is somebody new: what was negotiated before is void
   */
  #resync(newSeat) {
    this.#selfID = this.#room.self.id;
    for (const id of [...this.#links.keys()]) {
      if (newSeat || !this.#room.peers.has(id)) this.#drop(id);
    }
    const kept = [...this.#links.values()];
    for (const peer of this.#room.peers.values()) {
      this.#attend(peer);
      this.#open(peer);
    }
    for (const { connection } of kept) connection.recover();
  }

  #renewServers() {
    for (const { connection } of this.#links.values()) connection.pc.setConfiguration(this.#configuration());
  }

  #configuration() {
    /** @type {RTCConfiguration} */
    const configuration = { ...this.#options.configuration, iceServers: this.#client.iceServers };
    if (this.#room.relayOnly) configuration.iceTransportPolicy = 'relay';
    return configuration;
  }

  /**
   * Sends to one peer. Descriptions keep their order, also when one has to be sent again; candidates need none, the
   * other side lets them wait for their description.
   *
   * @param {string} id
   * @param {{description?: object, candidate?: object}} data
   * @param {{offer?: true, answers?: number}} [about]
   * @returns {Promise<boolean | void> | void} of a description: ends when it is sent, with false if it may not be
   */
  #send(id, data, about) {
    const link = this.#links.get(id);
    if (!link) return;
    if (data.description) {
      const streams = this.#purposes.size > 0 ? { streams: Object.fromEntries(this.#purposes) } : {};
      return (link.described = link.described.then(() => this.#signal(id, link, { ...data, ...streams }, about)));
    }
    this.#signal(id, link, data);
  }

  /**
   * @param {string} id
   * @param {object} link
   * @param {object} data
   * @param {{offer?: true, answers?: number}} [about]
   */
  async #signal(id, link, data, about) {
    for (let attempt = 1; this.#links.get(id) === link; attempt += 1) {
      try {
        await this.#room.signal(id, data, { ...about, timeout: SIGNAL_TIMEOUT });
        return;
      } catch (cause) {
        const error = /** @type {SignalboxError} */ (cause);
        // The peer's later offer has come, and is what the negotiation goes on with.
        if (error.code === 'stale') return;
        // A peer that is gone and a lost seat are told by the room, and end this connection.
        if (error.code === 'peer_gone' || error.code === 'disconnected' || this.#links.get(id) !== link) return;
        // Twice does less harm than never.
        const again = error.retryable || error.code === 'outcome_unknown';
        if (!again || attempt >= SIGNAL_ATTEMPTS) {
          this.emit('error', { peer: /** @type {Peer} */ (this.#room.peers.get(id)), error });
          return again;
        }
        await new Promise((resolve) => setTimeout(resolve, Math.max(error.retryAfter, 250 * attempt)));
      }
    }
  }
}

/**
 * What a peer sends streams for. Anything may come from there.
 *
 * @param {PeerLink} link
 * @param {readonly MediaStream[]} streams
 */
function purposeOf({ purposes }, streams) {
  const given = streams.map(({ id }) => (Object.hasOwn(purposes, id) ? purposes[id] : undefined));
  return /** @type {string} */ (given.find((purpose) => typeof purpose === 'string')) ?? CAMERA;
}
