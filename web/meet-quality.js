// How well the others come through, and who speaks: from what the browser counts.

/** How often it is looked at who speaks, and how the connections are, in milliseconds. */
const HEAR = 300;
const RATE = 2_000;

/** From which level on somebody speaks, of 1. */
const LOUD = 0.02;

/** Above these a connection is only fair, or poor: lost packets of all, and the round trip in milliseconds. */
const FAIR = { lost: 0.02, roundTrip: 250 };
const POOR = { lost: 0.08, roundTrip: 600 };

/**
 * What a connection is like: good, fair or poor, and none where there is none.
 *
 * @param {{connected: boolean, lost: number, roundTrip: number}} figures
 */
export function rated({ connected, lost, roundTrip }) {
  if (!connected) return 'none';
  if (lost > POOR.lost || roundTrip > POOR.roundTrip) return 'poor';
  return lost > FAIR.lost || roundTrip > FAIR.roundTrip ? 'fair' : 'good';
}

/**
 * Looks at the connections of a call until the returned function is called.
 *
 * @param {import('./sdk.js').Call} call
 * @param {{speak: (ids: Set<string>) => void, rate: (qualities: Map<string, string>) => void}} tell
 */
export function watch(call, { speak, rate }) {
  const before = new Map();
  const hear = () => {
    const speaking = new Set();
    for (const [id, { pc }] of call.connections) {
      const heard = pc.getReceivers().filter(({ track }) => track.kind === 'audio').flatMap((receiver) => receiver.getSynchronizationSources());
      if (heard.some(({ audioLevel }) => audioLevel > LOUD)) speaking.add(id);
    }
    speak(speaking);
  };
  const look = async () => {
    const qualities = new Map();
    for (const [id, { pc }] of call.connections) {
      const counts = await count(pc);
      const earlier = before.get(id) ?? { lost: 0, got: 0 };
      before.set(id, counts);
      const [lost, got] = [Math.max(0, counts.lost - earlier.lost), Math.max(0, counts.got - earlier.got)];
      qualities.set(id, rated({ connected: pc.connectionState === 'connected', lost: lost / Math.max(1, lost + got), roundTrip: counts.roundTrip }));
    }
    for (const id of before.keys()) if (!qualities.has(id)) before.delete(id);
    rate(qualities);
  };
  const timers = [setInterval(hear, HEAR), setInterval(look, RATE)];
  look();
  return () => timers.forEach(clearInterval);
}

async function count(pc) {
  const counts = { lost: 0, got: 0, roundTrip: 0 };
  for (const report of (await pc.getStats()).values()) {
    if (report.type === 'inbound-rtp') {
      counts.lost += report.packetsLost ?? 0;
      counts.got += report.packetsReceived ?? 0;
    } else if (report.type === 'candidate-pair' && report.nominated && report.state === 'succeeded') {
      counts.roundTrip = 1000 * (report.currentRoundTripTime ?? 0);
    }
  }
  return counts;
}
