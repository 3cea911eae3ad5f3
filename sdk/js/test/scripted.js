import { Call } from '../src/index.js';

/** A connection that does as it is told, one step after the other, and writes down what it was asked for. */
export class ScriptedConnection extends EventTarget {
  /** @type {string[]} */
  log = [];
  signalingState = 'stable';
  connectionState = 'new';
  iceConnectionState = 'new';
  /** @type {{type: string, sdp: string} | null} */
  localDescription = null;
  /** @type {{type: string, sdp: string} | null} */
  remoteDescription = null;
  /** @type {{track: any, streams: any[]}[]} */
  senders = [];
  /** @type {(() => void) | null} */
  onnegotiationneeded = null;
  /** @type {((event: any) => void) | null} */
  onicecandidate = null;
  /** @type {(() => void) | null} */
  onconnectionstatechange = null;
  ontrack = null;
  /** Whether it has all of its candidates at once, which are none. */
  gathers = true;
  #chain = Promise.resolve();
  #offers = 0;

  /** @param {any} configuration */
  constructor(configuration) {
    super();
    this.configuration = configuration;
    ScriptedConnection.made.push(this);
  }

  /** @type {ScriptedConnection[]} */
  static made = [];

  /** @param {() => void} step */
  #step(step) {
    this.#chain = this.#chain.then(() => new Promise((resolve) => setImmediate(resolve))).then(step);
    return this.#chain;
  }

  setLocalDescription() {
    return this.#step(() => {
      const answers = this.signalingState === 'have-remote-offer';
      this.localDescription = answers ? { type: 'answer', sdp: 'answer' } : { type: 'offer', sdp: `offer ${++this.#offers}` };
      this.signalingState = answers ? 'stable' : 'have-local-offer';
      this.log.push(`local ${this.localDescription.type}`);
      if (this.gathers) this.onicecandidate?.({ candidate: null });
    });
  }

  /** @param {any} description */
  setRemoteDescription(description) {
    return this.#step(() => {
      this.log.push(`remote ${description.type}${this.signalingState === 'have-local-offer' && description.type === 'offer' ? ' with rollback' : ''}`);
      this.remoteDescription = description;
      this.signalingState = description.type === 'offer' ? 'have-remote-offer' : 'stable';
    });
  }

  /** @param {any} candidate */
  addIceCandidate(candidate) {
    return this.#step(() => void this.log.push(`candidate ${candidate.candidate}`));
  }

  /**
   * @param {any} track
   * @param {...any} streams
   */
  addTrack(track, ...streams) {
    this.senders.push({ track, streams });
    this.log.push(`track ${track.id}`);
    if (this.signalingState === 'stable') setImmediate(() => this.onnegotiationneeded?.());
  }

  getSenders() {
    return this.senders.map((sender) => ({
      ...sender,
      setStreams: (/** @type {any[]} */ ...streams) => this.log.push(`streams of ${sender.track.id}: ${streams.join()}`),
      replaceTrack: async (/** @type {any} */ other) => void this.log.push(`${other.id} for ${sender.track.id}`),
    }));
  }

  /** @param {any} sender */
  removeTrack(sender) {
    this.log.push(`no track ${sender.track.id}`);
  }

  /** @param {any} configuration */
  setConfiguration(configuration) {
    this.configuration = configuration;
  }

  async getStats() {
    return new Map(Object.entries({
      t: { type: 'transport', selectedCandidatePairId: 'p' },
      p: { type: 'candidate-pair', localCandidateId: 'l', remoteCandidateId: 'r' },
      h: { type: 'local-candidate', candidateType: 'host', protocol: 'udp' },
      l: { type: 'local-candidate', candidateType: 'relay', protocol: 'udp', relayProtocol: 'tls' },
      n: { type: 'local-candidate', candidateType: 'srflx', protocol: 'udp' },
      r: { type: 'remote-candidate', candidateType: 'srflx' },
    }));
  }

  restartIce() {
    this.log.push('restart');
  }

  close() {
    this.log.push('close');
  }

  /** @param {string} state */
  become(state) {
    this.connectionState = state;
    this.iceConnectionState = state;
    this.onconnectionstatechange?.();
  }
}

export const Scripted = /** @type {any} */ (ScriptedConnection);

/**
 * A room of Ada (order 1), oneself (order 2) and Bob (order 3), and a call in it.
 *
 * @param {import('node:test').TestContext} t
 * @param {object} [roomMethods]
 * @param {import('../src/index.js').CallOptions} [options]
 */
export function callIn(t, roomMethods = {}, options = {}) {
  ScriptedConnection.made = [];
  const peers = ['ada', 'me', 'bob'].map((id, n) => ({ id, order: n + 1, name: id, user: id, state: {}, away: false }));
  /** @type {[string, any][]} */
  const signals = [];
  const room = /** @type {any} */ (Object.assign(new EventTarget(), {
    self: peers[1],
    peers: new Map(peers.map((peer) => [peer.id, peer])),
    signal: async (/** @type {string} */ to, /** @type {any} */ data) => signals.push([to, data]),
    report: async () => {},
    ...roomMethods,
  }));
  const client = /** @type {any} */ (Object.assign(new EventTarget(), { iceServers: [{ urls: 'stun:one' }] }));
  const tell = (/** @type {EventTarget} */ target, /** @type {string} */ type, /** @type {any} */ detail) => target.dispatchEvent(new CustomEvent(type, { detail }));
  const track = /** @type {any} */ ({ id: 'mic', kind: 'audio' });
  const stream = /** @type {any} */ ({ getTracks: () => [track], toString: () => 'stream' });
  const call = new Call(client, room, { stream, configuration: { bundlePolicy: 'max-bundle' }, RTCPeerConnection: Scripted, ...options });
  t.after(() => call.close());
  const of = (/** @type {string} */ id) => /** @type {ScriptedConnection} */ (/** @type {any} */ (call.connections.get(id)?.pc));
  return { call, client, room, peers, signals, tell, track, of };
}
