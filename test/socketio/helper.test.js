// What @signalbox/client/socketio does for pages on stock clients.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { withSignalbox } from '../../sdk/js/src/socketio.js';
import { COMBINATIONS, PATIENCE, until } from './clients.js';
import { startCluster } from './cluster.js';
import { Peer } from './peer.js';
import { newRoom } from './suite.js';

const CONFIG = `
ice: {ttl: 10s}
ice_servers: [{urls: ["turn:127.0.0.1:9"], secret: "a secret of the tests"}]
`;

/** Clients of both protocols, by the ways that end differently. */
const CHOSEN = COMBINATIONS.filter(({ client, way }) => ['2.5.0', '4.x'].includes(client.name) && way.name !== 'WebSocket only');

/** As much of an RTCPeerConnection as the helper looks at. */
class Connection extends EventTarget {
  signalingState = 'stable';
  iceConnectionState = 'connected';

  constructor(configuration) {
    super();
    this.configurations = [configuration];
  }

  getConfiguration() {
    return this.configurations.at(-1);
  }

  setConfiguration(configuration) {
    if (this.signalingState === 'closed') throw new Error('it is closed');
    this.configurations.push(configuration);
  }

  /** Goes through states. */
  be(...states) {
    for (const state of states) {
      this.connectionState = state;
      this.dispatchEvent(new Event('connectionstatechange'));
    }
  }

  async getStats() {
    return new Map(Object.entries({
      t: { type: 'transport', selectedCandidatePairId: 'p' },
      p: { type: 'candidate-pair', localCandidateId: 'l', remoteCandidateId: 'r' },
      l: { type: 'local-candidate', candidateType: 'relay', protocol: 'udp', relayProtocol: 'tls' },
      r: { type: 'remote-candidate', candidateType: 'prflx' },
    }));
  }
}

/** Clients with helpers, on a cluster of their own, each on a road of its own that can be cut. */
class Site {
  #peers = [];

  async start(flags = []) {
    this.cluster = await startCluster(['--socketio.ping_interval=2s', '--socketio.ping_timeout=2s', ...flags], CONFIG);
  }

  async stop() {
    this.#peers.forEach((peer) => peer.close());
    await this.cluster?.stop();
  }

  /** Begins to connect; what the helper's joins were answered with is in `answers`. */
  async begin(combination) {
    const road = await this.cluster.openProxy();
    const peer = new Peer(combination, road.url);
    this.#peers.push(peer);
    const answers = [];
    return Object.assign(peer, { road, answers, helper: withSignalbox(peer.socket), note: (answer) => answers.push(answer) });
  }

  async open(combination) {
    return (await this.begin(combination)).arrive();
  }
}

async function cut(peer) {
  peer.road.cut();
  await peer.until('the loss', () => !peer.socket.connected);
}

async function mend(peer) {
  peer.road.mend();
  await peer.until('the return', () => peer.socket.connected);
}

describe('helper of stock clients', { concurrency: 4 }, () => {
  const site = new Site();
  before(() => site.start());
  after(() => site.stop());

  for (const combination of CHOSEN) {
    describe(combination.name, { concurrency: 1, timeout: 8 * PATIENCE }, () => {
      it('takes a seat once connected, and again after a lost connection', async () => {
        const room = newRoom();
        const b = await site.open(combination);
        b.helper.join(room, b.note);
        const a = await site.begin(combination);
        a.helper.join(room, a.note); // before there is a connection
        await until('both seats', () => a.answers.length === 1 && b.answers.length === 1);
        assert.deepEqual(a.answers, [{ ok: true, room, id: a.id, count: 2, capacity: 2, others: [b.id] }]);
        assert.equal(a.heard.filter(([name]) => name === 'joined').length, 1, 'asked for twice');

        // Meanwhile somebody else has the seat: as long as that lasts it is taken for one's own lost one.
        const first = a.id;
        await cut(a);
        await b.hears('bye', room, first);
        const c = await site.open(combination);
        c.helper.join(room, c.note);
        await until("another's seat", () => c.answers[0]?.ok);
        await mend(a);
        await a.hears('full', room, a.id);
        assert.equal(a.answers.length, 1, 'told of a seat that is not lost yet');
        c.helper.leave(room);
        await until('the seat of before', () => a.answers.length === 2);
        assert.deepEqual(a.answers[1], { ok: true, room, id: a.id, count: 2, capacity: 2, others: [b.id] });
        assert.notEqual(a.id, first);

        // Who comes now is told at once that the room is full, and that is final.
        c.helper.join(room, c.note);
        await until('a refusal', () => c.answers.length === 2);
        assert.equal(c.answers[1].error.code, 'room_full');
        await cut(c);
        await mend(c);
        assert.equal((await c.do('room-info', room)).count, 2);
        assert.equal(c.answers.length, 2);
      });

      it('does not come back where one has left', async () => {
        const room = newRoom();
        const a = await site.open(combination);
        a.helper.join(room, { wait: true }, a.note);
        await until('the seat', () => a.answers.length === 1);
        await cut(a);
        a.helper.leave(room);
        await mend(a);
        assert.equal((await a.ask('leave', room)).error.code, 'not_member');
        assert.equal((await a.do('room-info', room)).count, 0);
        a.helper.detach();
        assert.equal(a.answers.length, 1);
      });

      it('gives connections the servers of now and of later, and tells how they went', async () => {
        const room = newRoom();
        const a = await site.open(combination);
        await until('the servers', () => a.helper.iceServers.length > 0);
        a.helper.join(room, a.note);
        await until('the seat', () => a.answers.length === 1);

        const late = withSignalbox(a.socket); // of a page that thinks of it when it is connected already
        await until('the servers by asking', () => late.iceServers.length > 0);
        late.detach();

        const own = a.helper.configuration(room, { bundlePolicy: 'max-bundle' });
        assert.equal(own.bundlePolicy, 'max-bundle');
        assert.equal(own.iceTransportPolicy, undefined);
        assert.match(own.iceServers[0].username, /:demo\//);
        const [pc, closed] = [new Connection(own), new Connection(own)];
        assert.equal(a.helper.watch(pc, room, 'x'), pc);
        a.helper.watch(closed, room, 'y');
        closed.signalingState = 'closed';
        assert.equal(pc.configurations.length, 1, 'configured where there is nothing to negotiate yet');

        const count = async (name, label) => (await Promise.all(site.cluster.gateways.map(({ metrics }) => metrics())))
          .reduce((sum, metric) => sum + metric(name, label), 0);
        const way = 'local="relay",outcome="connected",protocol="tls",region="",remote="prflx"';
        const before = [await count('signalbox_ice_reports_total', way), await count('signalbox_call_failures_total', '"dtls"')];
        pc.be('connecting', 'connected', 'disconnected', 'connected', 'failed');
        await until('the reports', async () => (await count('signalbox_call_failures_total', '"dtls"')) > before[1]);
        assert.ok((await count('signalbox_ice_reports_total', way)) > before[0]);

        await until('fresh credentials', () => pc.configurations.length > 1);
        const fresh = pc.getConfiguration();
        assert.equal(fresh.bundlePolicy, 'max-bundle');
        assert.deepEqual(fresh.iceServers, a.helper.iceServers);
        assert.ok(parseInt(fresh.iceServers[0].username, 10) > parseInt(own.iceServers[0].username, 10));
        assert.equal(closed.configurations.length, 1);
      });
    });
  }
});

describe('helper of stock clients that recover', { timeout: 8 * PATIENCE }, () => {
  const site = new Site();
  before(() => site.start(['--socketio.recovery=true']));
  after(() => site.stop());

  it('does not ask for a seat that was kept', async () => {
    const room = newRoom();
    const combination = CHOSEN.at(-1);
    const a = await site.open(combination);
    a.helper.join(room, a.note);
    await until('the seat', () => a.answers.length === 1);
    const { id } = a;
    await a.do('message', room, 'an event gives the client its offset');
    const b = await site.open(combination);
    b.helper.join(room, b.note);
    await a.until('somebody else', () => a.heard.some(([name]) => name === 'otherjoin'));
    await cut(a);
    await mend(a);
    assert.equal(a.socket.recovered, true);
    assert.equal(a.id, id);
    await a.do('message', room, 'from the same seat');
    assert.equal(a.answers.length, 1);
    assert.equal(a.heard.filter(([name]) => name === 'joined').length, 1);
  });
});
