/**
 * @typedef {Map<string, any>} Stats of RTCPeerConnection.getStats()
 *
 * @typedef {object} PeerStats one connection, since it was measured before; what is not known is undefined
 * @property {number} time Unix milliseconds
 * @property {number | undefined} rtt    there and back, in milliseconds
 * @property {number | undefined} jitter of what comes in, in milliseconds
 * @property {number | undefined} loss   of what comes in, from 0 to 1
 * @property {number | undefined} lossSent of what goes out, from 0 to 1, as the peer says
 * @property {number | undefined} received bits a second
 * @property {number | undefined} sent     bits a second
 * @property {string | undefined} local    candidate type: host, srflx, prflx, relay
 * @property {string | undefined} remote   candidate type
 * @property {string | undefined} protocol udp, tcp or tls: of a relay the one by which it is reached
 * @property {Quality} quality
 *
 * @typedef {0 | 1 | 2 | 3 | 4} Quality 0: not connected; 4: round trip up to 150 ms, jitter up to 20 ms, loss up to 1 %; 3: 300 ms,
 *   40 ms, 3 %; 2: 500 ms, 80 ms, 8 %; 1: worse. The worst of the three counts, and loss in both directions
 */

/** At most this much round trip and jitter, in milliseconds, and loss, for a quality. @type {[Quality, number, number, number][]} */
const QUALITIES = [
  [4, 150, 20, 0.01],
  [3, 300, 40, 0.03],
  [2, 500, 80, 0.08],
];

/** How long what was measured is good enough, in milliseconds: less says little about loss and rates. */
const FRESH = 500;

/** Candidate types, from what reaches the least far to what reaches the farthest. */
const REACH = ['host', 'prflx', 'srflx', 'relay'];

/** What a connection's counters come to. */
export class Statistics {
  /** @type {Totals | undefined} */
  #before;
  /** @type {PeerStats | undefined} */
  #latest;
  /** Under way. @type {Promise<PeerStats> | undefined} */
  #measuring;

  /**
   * @param {RTCPeerConnection} pc
   * @returns {Promise<PeerStats>}
   */
  measure(pc) {
    const latest = this.#latest;
    if (latest && Date.now() - latest.time < FRESH) return Promise.resolve(latest);
    this.#measuring ??= this.#measure(pc).finally(() => (this.#measuring = undefined));
    return this.#measuring;
  }

  /** @param {RTCPeerConnection} pc */
  async #measure(pc) {
    const stats = new Map(/** @type {any} */ (await pc.getStats()));
    const now = totalsOf(stats);
    // Another pair, or another track, counts from 0 again.
    const rate = (/** @type {'bytesIn' | 'bytesOut'} */ key) => {
      const before = this.#before;
      return before && now[key] >= before[key] ? Math.round(((now[key] - before[key]) * 8_000) / (now.at - before.at)) : undefined;
    };
    const since = (/** @type {'packets' | 'lost'} */ key) => Math.max(now[key] - (this.#before?.[key] ?? 0), 0);
    const [packets, lost] = [since('packets'), since('lost')];
    const measured = {
      time: Date.now(),
      rtt: now.rtt,
      jitter: now.jitter,
      loss: packets + lost > 0 ? lost / (packets + lost) : undefined,
      lossSent: now.lossSent,
      received: rate('bytesIn'),
      sent: rate('bytesOut'),
      ...pairOf(stats),
    };
    this.#before = now;
    this.#latest = { ...measured, quality: pc.connectionState === 'connected' ? qualityOf(measured) : 0 };
    return this.#latest;
  }
}

/**
 * @typedef {object} Totals since the connection began
 * @property {number} at by performance.now()
 * @property {number} bytesIn
 * @property {number} bytesOut
 * @property {number} packets
 * @property {number} lost
 * @property {number | undefined} rtt
 * @property {number | undefined} jitter
 * @property {number | undefined} lossSent
 */

/**
 * @param {Stats} stats
 * @returns {Totals}
 */
function totalsOf(stats) {
  const { pair } = selected(stats);
  const of = (/** @type {string} */ type) => [...stats.values()].filter((entry) => entry.type === type);
  const [incoming, remote] = [of('inbound-rtp'), of('remote-inbound-rtp')];
  const sum = (/** @type {string} */ key) => incoming.reduce((total, entry) => total + (entry[key] ?? 0), 0);
  const seconds = pair?.currentRoundTripTime ?? worst(remote, 'roundTripTime');
  const jitter = worst(incoming, 'jitter');
  return {
    at: performance.now(),
    bytesIn: pair?.bytesReceived ?? 0,
    bytesOut: pair?.bytesSent ?? 0,
    packets: sum('packetsReceived'),
    lost: sum('packetsLost'),
    rtt: seconds && seconds * 1_000,
    jitter: jitter && jitter * 1_000,
    lossSent: worst(remote, 'fractionLost'),
  };
}

/**
 * @param {{[key: string]: any}[]} entries
 * @param {string} key
 * @returns {number | undefined}
 */
function worst(entries, key) {
  const known = entries.map((entry) => entry[key]).filter((value) => value !== undefined);
  return known.length > 0 ? Math.max(...known) : undefined;
}

/**
 * @param {{rtt: number | undefined, jitter: number | undefined, loss: number | undefined, lossSent: number | undefined}} measured
 * @returns {Quality} of what is connected
 */
export function qualityOf({ rtt = 0, jitter = 0, loss = 0, lossSent = 0 }) {
  const lossy = Math.max(loss, lossSent);
  return QUALITIES.find(([, most, unsteady, lost]) => rtt <= most && jitter <= unsteady && lossy <= lost)?.[0] ?? 1;
}

/** @param {Stats} stats */
function selected(stats) {
  const all = [...stats.values()];
  const transport = all.find(({ type }) => type === 'transport');
  const pair =
    stats.get(transport?.selectedCandidatePairId) ??
    all.find(({ type, nominated, state }) => type === 'candidate-pair' && nominated && state === 'succeeded');
  return { pair, local: stats.get(pair?.localCandidateId), remote: stats.get(pair?.remoteCandidateId) };
}

/**
 * The pair that the media takes.
 *
 * @param {Stats} stats
 * @returns {{local: string | undefined, remote: string | undefined, protocol: string | undefined}}
 */
export function pairOf(stats) {
  const { local, remote } = selected(stats);
  return {
    local: local?.candidateType,
    remote: remote?.candidateType,
    protocol: local?.relayProtocol ?? local?.protocol,
  };
}

/**
 * The type of candidate that reaches the farthest: with nothing but `host`, no STUN or TURN server was reached.
 *
 * @param {Stats} stats
 * @param {string} side
 */
export function farthest(stats, side) {
  const types = [...stats.values()].filter(({ type }) => type === side).map(({ candidateType }) => candidateType);
  return REACH.findLast((type) => types.includes(type));
}
