import { TypedTarget } from './events.js';
import { idOf } from './records.js';

/** @import { Peer } from './room.js' */

/**
 * @typedef {object} ChannelOptions as of RTCPeerConnection.createDataChannel(); reliable and in order unless said otherwise
 * @property {boolean} [ordered]
 * @property {number} [maxRetransmits]
 * @property {number} [maxPacketLifeTime] milliseconds
 * @property {number} [highWater] how many bytes may wait to be sent to one peer, 1 MiB unless said otherwise: `send` waits for more
 *
 * @typedef {object} ChannelEvents
 * @property {{peer: Peer}} open  what is sent reaches the peer from now on
 * @property {{peer: Peer}} close
 * @property {{peer: Peer, data: string | ArrayBuffer}} message
 *
 * @typedef {object} Outgoing
 * @property {RTCDataChannel} channel
 * @property {Promise<unknown>} turn ends when what was given before is sent, or given up
 */

/** Tells the data channels of calls from those that an application opens itself. */
const PROTOCOL = 'signalbox.call';

/** How many messages of a peer are kept until this side has the channel, too. */
const EARLY_MESSAGES = 256;

/** How many channels a peer may open that this side does not have. */
const EARLY_CHANNELS = 16;

/**
 * Data channels to everybody in a call, under one label. Each side opens one of its own to send through, so that it does not matter who
 * is first.
 *
 * @extends {TypedTarget<ChannelEvents>}
 */
export class CallChannel extends TypedTarget {
  #label;
  #init;
  #highWater;
  #peer;
  /** By peer id. @type {Map<string, Outgoing>} */
  #outgoing = new Map();
  #closed;

  /**
   * Channels are made by `call.channel`.
   *
   * @param {string} label
   * @param {ChannelOptions} options
   * @param {(id: string) => Peer} peer
   * @param {() => void} closed
   */
  constructor(label, { highWater = 1 << 20, ...init }, peer, closed) {
    super();
    this.#label = label;
    this.#init = { ...init, protocol: PROTOCOL };
    this.#highWater = highWater;
    this.#peer = peer;
    this.#closed = closed;
  }

  get label() {
    return this.#label;
  }

  /** The ids of the peers that what is sent now reaches. @returns {string[]} */
  get open() {
    return [...this.#outgoing].filter(([, { channel }]) => channel.readyState === 'open').map(([id]) => id);
  }

  /**
   * Sends to everybody, or to one. To a peer for which too much waits already it is sent when there is room again, in the order of the
   * calls: who awaits each call sends as fast as the slowest can take.
   *
   * @param {string | ArrayBuffer | ArrayBufferView} data
   * @param {{to?: string | Peer, volatile?: boolean, signal?: AbortSignal}} [options] `volatile`: not to those for which too much waits
   * @returns {Promise<number>} to how many it was sent
   */
  async send(data, { to, volatile = false, signal } = {}) {
    signal?.throwIfAborted();
    const ids = to === undefined ? this.open : this.open.filter((id) => id === idOf(to));
    const sent = await Promise.all(ids.map((id) => {
      const outgoing = /** @type {Outgoing} */ (this.#outgoing.get(id));
      const { channel } = outgoing;
      if (volatile && channel.bufferedAmount > this.#highWater) return false;
      const turn = outgoing.turn.then(async () => {
        if (channel.bufferedAmount > this.#highWater) await drained(channel, signal);
        signal?.throwIfAborted();
        if (channel.readyState !== 'open') return false;
        channel.send(/** @type {any} */ (data));
        return true;
      });
      outgoing.turn = turn.catch(() => {});
      return turn;
    }));
    return sent.filter(Boolean).length;
  }

  /** Closes it towards everybody. */
  close() {
    this.#closed();
    for (const { channel } of this.#outgoing.values()) channel.close();
    this.#outgoing.clear();
    this.endStreams();
  }

  /**
   * @internal
   * @param {string} id
   * @param {RTCPeerConnection} pc
   */
  _connect(id, pc) {
    const channel = pc.createDataChannel(this.#label, this.#init);
    channel.bufferedAmountLowThreshold = this.#highWater / 2;
    this.#outgoing.set(id, { channel, turn: Promise.resolve() });
    const peer = this.#peer(id); // who leaves is not in the room any more when the channel closes
    channel.addEventListener('open', () => this.emit('open', { peer: this.#peer(id) ?? peer }));
    channel.addEventListener('close', () => this._disconnect(id, channel, peer));
  }

  /**
   * @internal
   * @param {string} id
   * @param {RTCDataChannel} channel
   * @param {Peer} peer
   */
  _disconnect(id, channel, peer) {
    if (this.#outgoing.get(id)?.channel !== channel) return;
    this.#outgoing.delete(id);
    this.emit('close', { peer });
  }

  /**
   * @internal
   * @param {string} id
   * @param {string | ArrayBuffer} data
   */
  _receive(id, data) {
    const peer = this.#peer(id);
    if (peer) this.emit('message', { peer, data });
  }
}

/** What one peer sends through its channels. */
export class Incoming {
  #id;
  #channels;
  /** What came through channels that this side has not yet, by label. @type {Map<string, any[]>} */
  #early = new Map();

  /**
   * @param {string} id of the peer
   * @param {RTCPeerConnection} pc
   * @param {ReadonlyMap<string, CallChannel>} channels by label
   */
  constructor(id, pc, channels) {
    this.#id = id;
    this.#channels = channels;
    pc.addEventListener('datachannel', ({ channel }) => this.#take(channel));
  }

  /**
   * This side has a channel now.
   *
   * @param {CallChannel} channel
   */
  tell(channel) {
    const early = this.#early.get(channel.label) ?? [];
    this.#early.delete(channel.label);
    for (const data of early) channel._receive(this.#id, data);
  }

  /** @param {RTCDataChannel} incoming */
  #take(incoming) {
    const { label, protocol } = incoming;
    if (protocol !== PROTOCOL) return;
    incoming.binaryType = 'arraybuffer';
    incoming.addEventListener('message', ({ data }) => {
      const channel = this.#channels.get(label);
      const early = this.#early.get(label);
      if (early) {
        if (early.length < EARLY_MESSAGES) early.push(data);
      } else if (channel) {
        channel._receive(this.#id, data);
      } else if (this.#early.size < EARLY_CHANNELS) {
        this.#early.set(label, [data]);
      }
    });
  }
}

/**
 * Waits until less waits to be sent, or the channel is closed.
 *
 * @param {RTCDataChannel} channel
 * @param {AbortSignal} [signal]
 * @returns {Promise<void>}
 */
function drained(channel, signal) {
  return new Promise((resolve) => {
    const over = new AbortController();
    const done = () => {
      over.abort();
      resolve();
    };
    const once = { signal: over.signal };
    channel.addEventListener('bufferedamountlow', done, once);
    channel.addEventListener('close', done, once);
    signal?.addEventListener('abort', done, once);
    if (signal?.aborted || channel.readyState !== 'open') done();
  });
}
