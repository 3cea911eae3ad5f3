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
function rated({ connected, lost, roundTrip }) {
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
  const hear = () => {
    const speaking = new Set();
    for (const [id, { pc }] of call.connections) {
      const heard = pc.getReceivers().filter(({ track }) => track.kind === 'audio').flatMap((receiver) => receiver.getSynchronizationSources());
      if (heard.some(({ audioLevel }) => audioLevel > LOUD)) speaking.add(id);
    }
    speak(speaking);
  };
  const look = async () => {
    const stats = await call.stats();
    rate(new Map([...stats].map(([id, { quality, loss = 0, rtt = 0 }]) => [id, rated({ connected: quality > 0, lost: loss, roundTrip: rtt })])));
  };
  const timers = [setInterval(hear, HEAR), setInterval(look, RATE)];
  look();
  return () => timers.forEach(clearInterval);
}
