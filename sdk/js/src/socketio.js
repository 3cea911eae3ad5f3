/**
 * What a page on a stock socket.io client, 2.x to 4.x, does by itself on a Signalbox gateway: see docs/classic.md. One file without
 * imports: gateways serve it beside the stock client, as a module and as a script.
 *
 * @module @signalbox/client/socketio
 */

/**
 * @typedef {object} StockSocket as much of a stock client's socket as is needed
 * @property {boolean} connected
 * @property {boolean} [recovered] of 4.6 and later
 * @property {(event: string, listener: (...args: any[]) => void) => unknown} on
 * @property {(event: string, listener: (...args: any[]) => void) => unknown} off
 * @property {(event: string, ...args: any[]) => unknown} emit
 *
 * @typedef {object} JoinAnswer `{ok: true, room, id, others, …}` or `{ok: false, error: {code, message}}`, as the gateway gives it
 * @property {boolean} ok
 * @property {string} [room]
 * @property {string} [id]
 * @property {number} [count]
 * @property {number} [capacity]
 * @property {string[]} [others]
 * @property {boolean} [relayOnly]
 * @property {{position: number, count: number, reason: string}} [waiting]
 * @property {{code: string, message: string, retryAfter?: number}} [error]
 *
 * @typedef {object} Seat
 * @property {object} [options]
 * @property {(answer: JoinAnswer) => void} [callback]
 * @property {boolean} asked     whether an answer is awaited
 * @property {boolean} taken     whether the last answer gave it
 * @property {boolean} relayOnly
 * @property {boolean} lost      whether it was asked for over a connection that is lost
 * @property {number} patience   until when `room_full` is not believed, by performance.now()
 * @property {ReturnType<typeof setTimeout>} [timer]
 *
 * @typedef {object} StockHelper
 * @property {RTCIceServer[]} iceServers what the gateway told last
 * @property {(room: string, ...args: [object?, ((answer: JoinAnswer) => void)?] | [((answer: JoinAnswer) => void)?]) => void} join
 *   as `socket.emit('join', room, options, callback)`, and again by itself after a lost connection, unless it was recovered: the callback
 *   is called each time
 * @property {(room: string, callback?: (answer: object) => void) => void} leave as `socket.emit('leave', room, callback)`
 * @property {(room: string, own?: RTCConfiguration) => RTCConfiguration} configuration what to make a connection with: one's own, with
 *   the gateway's ICE servers, if it has any
 * @property {(pc: RTCPeerConnection, room: string, peer: string) => RTCPeerConnection} watch gives a connection that was made so fresh ICE
 *   servers as they come, and reports how it went; gives the connection back
 * @property {() => void} detach stops all of it. The socket, its seats and the connections stay as they are
 */

/**
 * How long `room_full` is not believed when a seat is taken again, in milliseconds: it is one's own lost connection that has it, until
 * the heartbeat finds out.
 */
const OLD_SEAT_PATIENCE = 30_000;

/** After what time a refusal for the moment is tried again, in milliseconds. */
const AGAIN = 1_000;

/** Refusals for the moment, for who had a seat before. */
const MOMENTARY = new Set(['room_full', 'unavailable', 'rate_limited']);

/**
 * Looks after a stock client's socket. Call it right behind `io(…)`.
 *
 * @param {StockSocket} socket
 * @returns {StockHelper}
 */
export function withSignalbox(socket) {
  /** By room. @type {Map<string, Seat>} */
  const seats = new Map();
  /** The connections that are watched, with their rooms. @type {Map<RTCPeerConnection, string>} */
  const watched = new Map();
  /** Undefined as long as the gateway has none: a page may have its own. @type {RTCIceServer[] | undefined} */
  let iceServers;

  /**
   * @param {string} room
   * @param {RTCConfiguration} own
   */
  const configuration = (room, own) => ({
    ...own,
    ...(iceServers && { iceServers }),
    ...(seats.get(room)?.relayOnly && { iceTransportPolicy: /** @type {const} */ ('relay') }),
  });

  /** The connections that are not closed: nobody tells of those that are. */
  const open = () => {
    for (const pc of [...watched.keys()]) if (pc.signalingState === 'closed') watched.delete(pc);
    return watched;
  };

  /** @param {{iceServers?: RTCIceServer[]}} told */
  const takeServers = ({ iceServers: servers }) => {
    if (!servers || (servers.length === 0 && !iceServers)) return;
    iceServers = servers;
    for (const [pc, room] of open()) pc.setConfiguration(configuration(room, pc.getConfiguration()));
  };

  /**
   * @param {string} room
   * @param {Seat} seat
   */
  const ask = (room, seat) => {
    clearTimeout(seat.timer);
    seat.asked = true;
    socket.emit('join', room, ...(seat.options ? [seat.options] : []), (/** @type {JoinAnswer} */ answer) => {
      if (seats.get(room) !== seat) return; // left meanwhile
      seat.asked = false;
      if (!answer.ok && MOMENTARY.has(answer.error?.code ?? '') && performance.now() < seat.patience) {
        seat.timer = setTimeout(() => ask(room, seat), answer.error?.retryAfter ?? AGAIN);
        return;
      }
      if (answer.ok) {
        seat.taken = true;
        seat.patience = 0;
        seat.relayOnly = answer.relayOnly ?? false;
      } else {
        seats.delete(room);
      }
      seat.callback?.(answer);
    });
  };

  /** @param {string} room */
  const forget = (room) => {
    clearTimeout(seats.get(room)?.timer);
    seats.delete(room);
  };

  /** @type {Record<string, (...args: any[]) => void>} */
  const listeners = {
    connect() {
      for (const [room, seat] of seats) {
        // What was emitted without a connection is sent by the client itself.
        if (seat.asked || (socket.recovered && seat.taken)) continue;
        if (seat.lost) seat.patience = performance.now() + OLD_SEAT_PATIENCE;
        ask(room, seat);
      }
    },
    disconnect() {
      for (const seat of seats.values()) {
        clearTimeout(seat.timer);
        seat.asked = false;
        seat.lost = true;
      }
    },
    ice: takeServers,
    leaved: forget,
  };
  for (const [event, listener] of Object.entries(listeners)) socket.on(event, listener);
  if (socket.connected) socket.emit('ice-servers', takeServers);

  return {
    get iceServers() {
      return iceServers ?? [];
    },
    join(room, ...args) {
      const callback = /** @type {((answer: JoinAnswer) => void) | undefined} */ (args.find((arg) => typeof arg === 'function'));
      const options = args.find((arg) => typeof arg === 'object');
      const { lost = false, patience = 0 } = seats.get(room) ?? {};
      forget(room);
      const seat = { options, callback, asked: false, taken: false, relayOnly: false, lost, patience };
      seats.set(room, seat);
      ask(room, seat);
    },
    leave(room, ...callback) {
      forget(room);
      socket.emit('leave', room, ...callback);
    },
    configuration: (room, own = {}) => configuration(room, own),
    watch(pc, room, peer) {
      // Not configured here: Chromium would begin to negotiate a connection that has nothing to talk about yet.
      open().set(pc, room);
      report(socket, pc, room, peer);
      return pc;
    },
    detach() {
      for (const [event, listener] of Object.entries(listeners)) socket.off(event, listener);
      for (const room of [...seats.keys()]) forget(room);
      watched.clear();
    },
  };
}

/**
 * Tells the operators how connecting to a peer went, and by what way.
 *
 * @param {StockSocket} socket
 * @param {RTCPeerConnection} pc
 * @param {string} room
 * @param {string} peer
 */
function report(socket, pc, room, peer) {
  const began = performance.now();
  let connected = false;
  pc.addEventListener('connectionstatechange', async () => {
    const outcome = pc.connectionState;
    if (outcome !== 'failed' && (outcome !== 'connected' || connected)) return;
    connected ||= outcome === 'connected';
    const ms = Math.round(performance.now() - began);
    const reason = outcome === 'failed' ? (pc.iceConnectionState === 'failed' ? 'ice' : 'dtls') : undefined;
    /** @type {Map<string, any>} */
    const stats = new Map(/** @type {any} */ (await pc.getStats()));
    const transport = [...stats.values()].find(({ type }) => type === 'transport');
    const pair = stats.get(transport?.selectedCandidatePairId);
    const [local, remote] = [stats.get(pair?.localCandidateId), stats.get(pair?.remoteCandidateId)];
    // What is emitted without a connection would be sent with the next one, of somebody new.
    if (!socket.connected) return;
    socket.emit('control', room, {
      type: 'report', peer, outcome, ms, reason, local: local?.candidateType, remote: remote?.candidateType,
      protocol: local?.relayProtocol ?? local?.protocol,
    });
  });
}
