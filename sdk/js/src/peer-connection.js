import { TypedTarget } from './events.js';
import { Statistics, farthest, pairOf } from './statistics.js';

/** @import { ICEReport } from './protocol.js' */
/** @import { PeerStats, Stats } from './statistics.js' */

/**
 * @typedef {object} PeerConnectionOptions
 * @property {boolean} polite whether one gives way when both make an offer at once
 * @property {(data: {description: RTCSessionDescription} | {candidate: RTCIceCandidateInit}, about?: {offer?: true, answers?: number}) =>
 *   unknown} send may give a promise that ends when a description is sent, with false if it is refused for good
 * @property {(outcome: Omit<ICEReport, 'peer'>) => void} report
 * @property {() => void} [beforeAnswer] called when an offer is set and not answered yet: a track that is added now goes
 *   into the answer
 * @property {RTCConfiguration} configuration
 * @property {new (configuration?: RTCConfiguration) => RTCPeerConnection} [RTCPeerConnection]
 *
 * @typedef {object} PeerConnectionEvents
 * @property {{track: MediaStreamTrack, streams: readonly MediaStream[], transceiver: RTCRtpTransceiver}} track
 * @property {{state: RTCPeerConnectionState}} connection
 * @property {{error: unknown}} error a step of the negotiation failed
 */

/** How old one's own offer is, in milliseconds, when it is taken for lost; twice as old for each time that it was sent again. */
const LOST_OFFER = 5_000;

/** How often a connection that does not begin, or an offer without an answer, is seen to. */
const REMINDERS = 5;

/** How long a connection may be lost, in milliseconds, until that is reported: most come back by themselves, as at a change of networks. */
const LOST_CONNECTION = 5_000;

/**
 * An RTCPeerConnection to one peer, negotiated as in W3C WebRTC, section 10.7 (perfect negotiation): either side may
 * add and remove media at any time, also both at once.
 *
 * @extends {TypedTarget<PeerConnectionEvents>}
 */
export class PeerConnection extends TypedTarget {
  #polite;
  #send;
  #report;
  #beforeAnswer;
  #makingOffer = false;
  /** When the last description was sent, by performance.now(). */
  #sentAt = 0;
  /** The SDP of the peer's last offer, if that was ignored. */
  #ignored = '';
  /** How many offers have come in. */
  #offers = 0;
  /** The number of the peer's offer that was set last, where it has one. @type {number | undefined} */
  #offered;
  #isSettingRemoteAnswerPending = false;
  /** Candidates that came before the description that they belong to. @type {RTCIceCandidateInit[]} */
  #candidates = [];
  /** When the negotiation began, or the connection was lost. */
  #since = performance.now();
  /** When it was connected first since it was lost; 0 while it is not. */
  #connectedAt = 0;
  /** Tells that there is a candidate of one's own, or that none is waited for any more. @type {any} */
  #gathered;
  /** @type {Promise<void>} */
  #gathering = new Promise((resolve) => (this.#gathered = resolve));
  /** Whether this negotiation's success was reported. */
  #measured = false;
  /** Whether it has been connected before. */
  #again = false;
  /** ICE restarts since the last report. */
  #restarts = 0;
  /** Set while it is lost, and may come back by itself. @type {ReturnType<typeof setTimeout> | undefined} */
  #losing;
  /** How often it was seen to since all was well. */
  #reminders = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #reminding;
  #closed = false;
  #statistics = new Statistics();
  /** Ends when the senders have the limit that was set last. */
  #limiting = Promise.resolve();

  /** @param {PeerConnectionOptions} options */
  constructor({ polite, send, report, beforeAnswer, configuration, RTCPeerConnection = globalThis.RTCPeerConnection }) {
    super();
    this.#polite = polite;
    this.#send = send;
    this.#report = report;
    this.#beforeAnswer = beforeAnswer;
    /** The connection itself, for statistics, data channels and the like. */
    this.pc = new RTCPeerConnection(configuration);
    this.pc.onnegotiationneeded = () => this.#offer();
    this.pc.onicecandidate = ({ candidate }) => {
      this.#gathered();
      if (candidate) this.#send({ candidate: candidate.toJSON() });
    };
    this.pc.ontrack = ({ track, streams, transceiver }) => this.emit('track', { track, streams, transceiver });
    this.pc.onconnectionstatechange = () => this.#stateChanged();
    this.#remind();
  }

  /** Whether one gives way when both make an offer at once. */
  get polite() {
    return this.#polite;
  }

  get state() {
    return this.pc.connectionState;
  }

  /**
   * Sends a track; the streams tell the other side what belongs together.
   *
   * @param {MediaStreamTrack} track
   * @param {MediaStream[]} streams
   */
  addTrack(track, streams) {
    this.pc.addTrack(track, ...streams);
  }

  /** @param {MediaStreamTrack} track */
  removeTrack(track) {
    const sender = this.#sender(track);
    if (sender) this.pc.removeTrack(sender);
  }

  /**
   * Sends another track in a track's place, without a new negotiation.
   *
   * @param {MediaStreamTrack} track
   * @param {MediaStreamTrack | null} other
   */
  async replaceTrack(track, other) {
    await this.#sender(track)?.replaceTrack(other);
  }

  /**
   * Changes the streams that a track belongs to.
   *
   * @param {MediaStreamTrack} track
   * @param {MediaStream[]} streams
   */
  setStreams(track, streams) {
    this.#sender(track)?.setStreams(...streams);
  }

  /**
   * What the peer sent by `signal`. Anything but descriptions and candidates is left alone.
   *
   * @param {{description?: RTCSessionDescriptionInit, candidate?: RTCIceCandidateInit}} data
   * @param {number} [seq] its number: an answer tells which offer it is for
   */
  async receive({ description, candidate }, seq) {
    try {
      if (description) await this.#describe(description, seq);
      else if (candidate) await this.#addCandidate(candidate);
    } catch (error) {
      this.#tellError(error);
    }
  }

  /** How the connection does, since it was asked before. @returns {Promise<PeerStats>} */
  stats() {
    return this.#statistics.measure(this.pc);
  }

  /**
   * Bounds what the video may take, all of its tracks together.
   *
   * @param {number} bitsPerSecond
   * @returns {Promise<void>} ends when it holds
   */
  limitVideo(bitsPerSecond) {
    this.#limiting = this.#limiting.then(async () => {
      const senders = this.pc.getSenders().filter(({ track }) => track?.kind === 'video');
      const bound = async (/** @type {RTCRtpSender} */ sender, again = 2) => {
        const parameters = sender.getParameters();
        for (const encoding of parameters.encodings) encoding.maxBitrate = Math.round(bitsPerSecond / senders.length);
        // A negotiation that ends meanwhile changes what may not be changed here.
        await sender.setParameters(parameters).catch((error) => (again ? bound(sender, again - 1) : Promise.reject(error)));
      };
      for (const sender of senders) await bound(sender);
    }).catch((error) => this.#tellError(error));
    return this.#limiting;
  }

  /**
   * Looks for another way to the peer, unless there is one: its network has probably changed.
   *
   * @param {{force?: boolean}} [options] `force`: also if there is one, which is used until there is a better one
   */
  restart({ force = false } = {}) {
    if (!this.#closed && (force || this.pc.connectionState !== 'connected')) this.#restartIce();
  }

  /** Goes on after signals were lost. */
  recover() {
    if (this.#closed) return;
    if (this.pc.signalingState === 'have-local-offer') this.#sendDescription();
    else this.restart();
  }

  /** Ends the connection; nothing is told any more, but for one last 'connection' with the state `closed`. */
  close() {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#losing);
    clearTimeout(this.#reminding);
    this.#gathered();
    this.pc.close();
    this.emit('connection', { state: 'closed' });
  }

  async #offer() {
    try {
      this.#makingOffer = true;
      await this.pc.setLocalDescription();
      this.#sendDescription();
    } catch (error) {
      this.#tellError(error);
    } finally {
      this.#makingOffer = false;
    }
  }

  /**
   * @param {RTCSessionDescriptionInit} description
   * @param {number} [seq]
   */
  async #describe(description, seq) {
    // An offer may come in while an answer is being set: by the time the offer is processed the state is stable, so
    // it can go onto the operations chain now.
    const readyForOffer =
      !this.#makingOffer && (this.pc.signalingState === 'stable' || this.#isSettingRemoteAnswerPending);
    const isOffer = description.type === 'offer';
    const offerCollision = isOffer && !readyForOffer;

    const ignores = !this.#polite && offerCollision;
    this.#ignored = ignores ? description.sdp ?? '' : '';
    if (ignores) {
      if (this.pc.signalingState === 'have-local-offer' && elapsed(this.#sentAt) > LOST_OFFER) this.#sendDescription();
      return;
    }
    // Chromium, if it has no list of the networks yet as it rolls back, gathers nothing for the connection any more, also at an ICE restart.
    if (offerCollision && !this.pc.remoteDescription) await this.#gathering;
    const turn = isOffer && ++this.#offers;
    // An offer that was sent again may be answered again.
    const isOpen = this.pc.signalingState === 'have-local-offer' && !this.#isSettingRemoteAnswerPending;
    if (description.type === 'answer' && !isOpen) return;
    this.#isSettingRemoteAnswerPending = description.type === 'answer';
    try {
      await this.pc.setRemoteDescription(description); // Rolls back as needed.
    } finally {
      this.#isSettingRemoteAnswerPending = false;
    }
    this.#addWaitingCandidates();
    // While it was set, the next one may have come in: that is answered, once.
    if (turn === this.#offers) {
      this.#offered = seq;
      this.#beforeAnswer?.();
      await this.pc.setLocalDescription();
      this.#sendDescription();
    }
  }

  /** @param {RTCIceCandidateInit} candidate */
  async #addCandidate(candidate) {
    if (!belongs(candidate, this.pc.remoteDescription?.sdp)) {
      // Those of an ignored offer never get their description; those of the answer may be here before it.
      if (!belongs(candidate, this.#ignored)) this.#candidates.push(candidate);
      return;
    }
    try {
      await this.pc.addIceCandidate(candidate);
    } catch (error) {
      if (!this.#ignored) throw error;
    }
  }

  #addWaitingCandidates() {
    const waiting = this.#candidates;
    this.#candidates = [];
    for (const candidate of waiting) this.receive({ candidate });
  }

  async #sendDescription() {
    if (this.#closed || !this.pc.localDescription) return;
    clearTimeout(this.#reminding);
    this.#sentAt = performance.now();
    const about = this.pc.localDescription.type === 'offer' ? { offer: /** @type {const} */ (true) } : { answers: this.#offered };
    try {
      if ((await this.#send({ description: this.pc.localDescription }, about)) === false) return;
    } catch (error) {
      this.#tellError(error);
    }
    this.#remind();
  }

  /** Sees to it after a while, by which a connection begins and an offer is answered, whatever was lost. */
  #remind() {
    clearTimeout(this.#reminding);
    if (this.#closed) return;
    this.#reminding = setTimeout(() => {
      const { pc } = this;
      const isOpen = pc.signalingState !== 'stable';
      if (!isOpen && pc.iceConnectionState !== 'new') this.#reminders = 0;
      else if (this.#reminders < REMINDERS) {
        this.#reminders += 1;
        this.#gathered();
        this.#remind();
        if (isOpen || pc.remoteDescription) this.recover();
        else if (pc.getSenders()[0]) this.#offer(); // which has failed
      }
    }, LOST_OFFER * 2 ** this.#reminders);
  }

  #stateChanged() {
    if (this.#closed) return;
    const state = this.pc.connectionState;
    clearTimeout(this.#losing);
    if (state === 'connected') this.#connected();
    else if (state === 'disconnected') this.#losing = setTimeout(() => this.#lost(), LOST_CONNECTION);
    else if (state === 'failed') this.#failed();
    this.emit('connection', { state });
  }

  #connected() {
    this.#connectedAt ||= performance.now();
    if (this.#measured) return;
    this.#measured = true;
    const outcome = this.#outcome({ outcome: 'connected', ms: elapsed(this.#since), ...(this.#again && { again: true }) });
    this.#again = true;
    this.#tell(outcome, (stats) => pairOf(stats));
  }

  /** It has not come back for a while. */
  #lost() {
    if (this.#connectedAt === 0) return;
    const lasted = Math.max(elapsed(this.#connectedAt) - LOST_CONNECTION, 0);
    this.#connectedAt = 0;
    this.#since = performance.now();
    this.#measured = false;
    this.#tell(this.#outcome({ outcome: 'disconnected', ms: lasted }), (stats) => pairOf(stats));
  }

  #failed() {
    const reason = this.pc.iceConnectionState === 'failed' ? 'ice' : 'dtls';
    const outcome = this.#outcome({ outcome: 'failed', ms: elapsed(this.#since), reason });
    this.#connectedAt = 0;
    if (this.#again) this.#since = performance.now(); // the first time counts from the beginning
    this.#measured = false;
    this.#tell(outcome, (stats) => ({ local: farthest(stats, 'local-candidate'), remote: farthest(stats, 'remote-candidate') }));
    this.#restartIce();
  }

  #restartIce() {
    this.#restarts += 1;
    this.pc.restartIce();
  }

  /**
   * Adds what has happened since the last report.
   *
   * @param {Omit<ICEReport, 'peer'>} outcome
   */
  #outcome(outcome) {
    const restarts = this.#restarts;
    this.#restarts = 0;
    return restarts === 0 ? outcome : { ...outcome, restarts };
  }

  /**
   * Reports, with the candidates as they are now.
   *
   * @param {Omit<ICEReport, 'peer'>} outcome
   * @param {(stats: Stats) => Partial<ICEReport>} candidates
   */
  async #tell(outcome, candidates) {
    try {
      const stats = new Map(/** @type {any} */ (await this.pc.getStats()));
      if (!this.#closed) this.#report({ ...outcome, ...candidates(stats) });
    } catch (error) {
      this.#tellError(error);
    }
  }

  /** @param {unknown} error of a step of the negotiation */
  #tellError(error) {
    if (!this.#closed) this.emit('error', { error });
  }

  /** @param {MediaStreamTrack} track */
  #sender(track) {
    return this.pc.getSenders().find((sender) => sender.track === track);
  }
}

/** @param {number} since */
function elapsed(since) {
  return Math.round(performance.now() - since);
}

/**
 * Whether a candidate belongs to a description.
 *
 * @param {RTCIceCandidateInit} candidate
 * @param {string} [sdp]
 */
function belongs({ usernameFragment }, sdp) {
  return sdp && (!usernameFragment || sdp.includes(`a=ice-ufrag:${usernameFragment}\r\n`));
}
