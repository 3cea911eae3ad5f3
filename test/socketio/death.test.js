// A gateway dies: the sessions of the other do not notice, and its own clients come back by themselves.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { COMBINATIONS, PATIENCE } from './clients.js';
import { startCluster } from './cluster.js';
import { onEachGateway, Peer } from './peer.js';
import { newRoom } from './suite.js';

describe('the death of a gateway', { timeout: 8 * PATIENCE }, () => {
  let cluster;
  const peers = [];
  before(async () => {
    cluster = await startCluster();
  });
  after(async () => {
    peers.forEach((peer) => peer.close());
    await cluster?.stop();
  });

  function open(combination) {
    const peer = new Peer(combination, cluster.url);
    peers.push(peer);
    return peer;
  }

  it('ends only the sessions that it had or carried, and those begin anew', async (t) => {
    const [dead, living] = cluster.gateways;
    const calls = [];
    const lost = [];
    for (const combination of COMBINATIONS) {
      const [a, b] = await onEachGateway(cluster.gateways, () => open(combination));
      const c = await sameGatewayAs(b, combination);
      lost.push(a);
      const room = newRoom();
      await b.do('join', room);
      await c.do('join', room);
      await b.hears('otherjoin', room, c.id);
      calls.push({ room, b, c });
    }

    cluster.proxy.drop(dead.url); // as a load balancer does, once it has found out
    // Others have a poll or a WebSocket that goes through the gateway. They lose it, too.
    const kept = calls.filter(({ b, c }) => ![b, c].some((peer) => cluster.proxy.carries(peer.socket.io.engine.id, dead.url)));
    const ids = new Map(peers.map((peer) => [peer, peer.id]));
    await dead.kill();
    t.diagnostic(`${kept.length} of ${calls.length} calls are on the other gateway alone`);

    await Promise.all(kept.map(async ({ room, b, c }) => {
      await b.do('message', room, 'still here');
      await c.hears('message', room, 'still here');
      await c.do('message', room, 'me too');
      await b.hears('message', room, 'me too');
      assert.deepEqual(b.take(), [['joined', room, ids.get(b)], ['otherjoin', room, ids.get(c)], ['message', room, 'me too']]);
      assert.deepEqual(c.take(), [['joined', room, ids.get(c)], ['message', room, 'still here']]);
    }));
    await Promise.all(lost.map(async (a, i) => {
      await a.until('another session', () => a.socket.connected && a.id !== ids.get(a));
      await a.arrive();
      assert.equal(a.node, living.node);
      const room = newRoom();
      await a.do('join', room);
      const other = await open(COMBINATIONS[i]).arrive();
      assert.deepEqual((await other.do('join', room)).others, [a.id]);
      await other.do('message', room, 'welcome back');
      await a.hears('message', room, 'welcome back');
    }));
    for (const { b, c } of calls) {
      for (const peer of [b, c]) await peer.until('a connection', () => peer.socket.connected);
    }
    assert.notEqual(cluster.proxy.unknown, 0); // what sends them to begin anew
  });

  /** One more session on a node. */
  async function sameGatewayAs({ node }, combination) {
    for (;;) {
      const peer = await open(combination).arrive();
      if (peer.node === node) return peer;
      peer.close();
    }
  }
});
