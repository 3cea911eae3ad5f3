import { TypedTarget } from './events.js';
import { PeerConnection } from './peer-connection.js';

/** @import { SignalboxError } from './errors.js' */
/** @import { Signalbox } from './client.js' */
/** @import { Peer, Room } from './room.js' */

/**
 * @typedef {object} CallOptions
 * @property {MediaStream} [stream] sent to everybody
 * @property {RTCConfiguration} [configuration] beside the gateway's ICE servers
 * @property {new (configuration?: RTCConfiguration) => RTCPeerConnection} [RTCPeerConnection] where the platform has none
 *
 * @typedef {object} PeerLink
 * @property {PeerConnection} connection
 * @property {boolean} away            as it was last
 * @property {Promise<void>} described ends when the last description has arrived
 * @property {number} order            the peer's, which tells a seat from the next of the same peer
 * @property {boolean} sends           whether the tracks were added
 * @property {ReturnType<typeof setTimeout>} [waiting] for the other side's first offer
 *
 * @typedef {object} CallEvents
 * @property {{peer: Peer, connection: PeerConnection, track: MediaStreamTrack, streams: readonly MediaStream[], transceiver: RTCRtpTransceiver}} track
 * @property {{peer: Peer, connection: PeerConnection, state: RTCPeerConnectionState}} connection
 * @property {{peer: Peer, error: unknown}} error a step of a negotiation failed
 */

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
    const { stream } = options;
    for (const track of stream?.getTracks() ?? []) this.#tracks.set(track, [/** @type {MediaStream} */ (stream)]);

    const { signal } = this.#listening;
    room.addEventListener('peer-joined', ({ detail }) => this.#open(detail.peer), { signal });
    room.addEventListener('peer-left', ({ detail }) => this.#drop(detail.peer.id), { signal });
    room.addEventListener('signal', ({ detail }) => this.#links.get(detail.from)?.connection.receive(detail.data, detail.seq), { signal });
    room.addEventListener('peer-state', ({ detail }) => this.#attend(detail.peer), { signal });
    room.addEventListener('resync', ({ detail }) => this.#resync(detail.newSeat), { signal });
    room.addEventListener('closed', () => this.close(), { signal });
    client.addEventListener('ice', () => this.#renewServers(), { signal });
    for (const peer of room.peers.values()) this.#open(peer);
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
    this.#tracks.set(track, streams);
    for (const { connection, sends } of this.#links.values()) {
      if (sends) connection.addTrack(track, streams);
    }
  }

  /** @param {MediaStreamTrack} track */
  removeTrack(track) {
    this.#tracks.delete(track);
    for (const { connection } of this.#links.values()) connection.removeTrack(track);
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
    this.#tracks.set(other, streams);
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

  /** Closes all connections. The room and the tracks stay as they are. */
  close() {
    this.#listening.abort();
    for (const id of [...this.#links.keys()]) this.#drop(id);
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
    const link = { connection, order: peer.order, away: peer.away, described: Promise.resolve(), sends: false };
    this.#links.set(peer.id, link);
    const latest = () => this.#room.peers.get(peer.id) ?? peer;
    connection.addEventListener('track', ({ detail }) => this.emit('track', { peer: latest(), connection, ...detail }));
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
   */
  #send(id, data, about) {
    const link = this.#links.get(id);
    if (!link) return;
    if (data.description) link.described = link.described.then(() => this.#signal(id, link, data, about));
    else this.#signal(id, link, data);
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
          return;
        }
        await new Promise((resolve) => setTimeout(resolve, Math.max(error.retryAfter, 250 * attempt)));
      }
    }
  }
}
