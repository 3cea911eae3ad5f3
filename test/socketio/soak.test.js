// Many polling sessions in chats, every request on a gateway at random, for SOAK_SECONDS.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { CLIENTS, PATIENCE, WAYS } from './clients.js';
import { startCluster } from './cluster.js';
import { Peer } from './peer.js';
import { newRoom } from './suite.js';

const SECONDS = Number(process.env.SOAK_SECONDS ?? 15);
const SESSIONS = Number(process.env.SOAK_SESSIONS ?? 200);
const ROOM = 10;

/** How often each sends, in milliseconds. */
const PERIOD = 2000;

const POLLING = WAYS[0];
const KINDS = CLIENTS.filter(({ name }) => name === '2.5.0' || name === '4.x').map((client) => ({ client, way: POLLING }));

describe(`${SESSIONS} polling sessions`, { timeout: 1000 * SECONDS + 8 * PATIENCE }, () => {
  let cluster;
  let rooms; // a name, and the peers inside
  const delays = [];
  before(async () => {
    cluster = await startCluster();
    rooms = Array.from({ length: SESSIONS / ROOM }, () => ({
      name: newRoom(),
      inside: Array.from({ length: ROOM }, (_, i) => new Peer(KINDS[i % KINDS.length], `${cluster.url}/chat`)),
    }));
    for (const room of rooms) await fill(room);
  });
  after(async () => {
    everybody(({ peer }) => peer.close());
    await cluster?.stop();
  });

  /** Does something with every peer, side by side. */
  const everybody = (action) => Promise.all((rooms ?? []).flatMap(({ name, inside }) => (
    inside.map((peer) => action({ name, inside, peer }))
  )));

  async function fill({ name, inside }) {
    await Promise.all(inside.map((peer) => peer.arrive()));
    await Promise.all(inside.map(async (peer) => {
      const { count } = await peer.do('join', name);
      await peer.until('all later ones', () => peer.heard.filter(([event]) => event === 'control').length === ROOM - count);
      peer.take();
      peer.socket.on('message', (room, id, { at }) => at && delays.push(performance.now() - at));
    }));
  }

  it(`lose nothing, and hear nothing twice, in ${SECONDS} s`, async (t) => {
    const before = await figures();
    const sent = new Map();
    const end = performance.now() + 1000 * SECONDS;
    const send = async (name, peer, at) => {
      const number = sent.get(peer) ?? 0;
      sent.set(peer, number + 1);
      await peer.do('message', name, { number, at });
    };
    await everybody(async ({ name, peer }) => {
      await pause(Math.random() * PERIOD);
      while (performance.now() < end) {
        await send(name, peer, performance.now());
        await pause(PERIOD * (0.5 + Math.random()));
      }
    });
    // Each sender's last comes behind whatever would come twice. All at once they are slow, which is not measured.
    await everybody(({ name, peer }) => send(name, peer));
    const hasLast = (peer, sender) => {
      const last = sent.get(sender) - 1;
      return peer.heard.some(([, , from, data]) => from === sender.id && data?.number === last);
    };
    await everybody(({ inside, peer }) => peer.until('the last of all', () => inside.every((sender) => hasLast(peer, sender))));
    const after = await figures();

    let received = 0;
    await everybody(({ name, inside, peer }) => {
      const events = peer.take();
      received += events.length;
      for (const sender of inside) {
        const heard = events.filter(([, , from]) => from === sender.id);
        const short = heard.map(([event, room, , { number }]) => [event, room, number]);
        assert.deepEqual(short, Array.from({ length: sent.get(sender) }, (_, number) => ['message', name, number]));
      }
    });
    const messages = sum([...sent.values()]);
    assert.equal(received, messages * ROOM);
    assert.equal(cluster.proxy.unknown, 0);
    assert.deepEqual(cluster.proxy.refusals, []);

    delays.sort((a, b) => a - b);
    const delay = (share) => `${delays[Math.floor(share * (delays.length - 1))].toFixed(1)} ms`;
    t.diagnostic(`${messages} messages sent, ${received} received, in ${SECONDS} s`);
    t.diagnostic(`delay: p50 ${delay(0.5)}, p99 ${delay(0.99)}, most ${delay(1)}`);
    const requests = [...cluster.proxy.counts.values()].join(' and ');
    t.diagnostic(`${requests} requests at the gateways, ${after.forwards - before.forwards} of them passed on`);
    const memory = after.memory.map((bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`).join(' and ');
    t.diagnostic(`memory of the gateways: ${memory}`);
    const [theirs, own] = [after.cpu - before.cpu, after.own - before.own].map((seconds) => `${seconds.toFixed(1)} s`);
    t.diagnostic(`CPU: gateways ${theirs}, clients and proxy ${own}`);
  });

  async function figures() {
    const metrics = await Promise.all(cluster.gateways.map((gateway) => gateway.metrics()));
    const { user, system } = process.cpuUsage();
    return {
      forwards: sum(metrics.map((metric) => metric('signalbox_hop_requests_total'))),
      memory: metrics.map((metric) => metric('process_resident_memory_bytes')),
      cpu: sum(metrics.map((metric) => metric('process_cpu_seconds_total'))),
      own: (user + system) / 1e6,
    };
  }
});

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
