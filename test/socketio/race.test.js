// Fifty stock clients race for a room of two, on two gateways: two get in, always.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { CLIENTS, COMBINATIONS, PATIENCE } from './clients.js';
import { startCluster } from './cluster.js';
import { Peer } from './peer.js';
import { assertRefused, newRoom } from './suite.js';

const RACERS = 50;
const ROUNDS = 20;

describe(`${RACERS} clients in ${ROUNDS} races for a room of two`, { timeout: 8 * PATIENCE }, () => {
  let cluster;
  before(async () => {
    cluster = await startCluster();
  });
  after(() => cluster?.stop());

  const fields = [
    { name: 'of every version by every way', combinations: COMBINATIONS },
    ...CLIENTS.map((client) => ({
      name: `of ${client.name} by every way`, combinations: COMBINATIONS.filter((combination) => combination.client === client),
    })),
  ];
  for (const { name, combinations } of fields) {
    it(name, async () => {
      const room = newRoom();
      const peers = Array.from({ length: RACERS }, (_, i) => new Peer(combinations[i % combinations.length], cluster.url));
      try {
        await Promise.all(peers.map((peer) => peer.arrive()));
        for (let round = 0; round < ROUNDS; round++) await race(room, peers);
      } finally {
        peers.forEach((peer) => peer.close());
      }
    });
  }

  /** One round: all join at once, the two that got in talk, and leave. */
  async function race(room, peers) {
    const answers = await Promise.all(peers.map((peer) => peer.ask('join', room)));
    const inside = peers.filter((_, i) => answers[i].ok);
    assert.equal(inside.length, 2);
    answers.filter(({ ok }) => !ok).forEach((answer) => assertRefused(answer, 'room_full'));
    const [first, second] = inside.sort((a, b) => answers[peers.indexOf(a)].count - answers[peers.indexOf(b)].count);
    assert.deepEqual(inside.map((peer) => answers[peers.indexOf(peer)]), [
      { ok: true, room, id: first.id, count: 1, capacity: 2, others: [] },
      { ok: true, room, id: second.id, count: 2, capacity: 2, others: [first.id] },
    ]);
    await first.do('message', room, 'hello');
    await second.hears('message', room, 'hello');
    await second.do('leave', room);
    await first.hears('bye', room, second.id);
    await first.do('leave', room);
    assert.deepEqual(first.take(), [
      ['joined', room, first.id], ['otherjoin', room, second.id], ['bye', room, second.id], ['leaved', room, first.id],
    ]);
    assert.deepEqual(second.take(), [['joined', room, second.id], ['message', room, 'hello'], ['leaved', room, second.id]]);
    for (const peer of peers) {
      if (!inside.includes(peer)) assert.deepEqual(peer.take(), [['full', room, peer.id]]);
    }
  }
});
