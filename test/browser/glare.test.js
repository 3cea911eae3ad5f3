// Both sides of a call make their offers at the same time, hundreds of times, through two gateways.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, people } from './browser.js';
import { startCluster } from './cluster.js';

const ROUNDS = 200;

/** Every so many rounds both restart ICE, so that there are candidates on the way, too. */
const RESTART = 10;

/** Connections that one page makes at once. A Chromium that has no list of the networks yet stops gathering for half of them at a rollback. */
const PAIRS = 8;

let cluster;
let browser;
let all;

before(async () => {
  cluster = await startCluster();
  browser = await launch();
  all = people(browser);
});
after(async () => {
  await all?.close();
  await browser?.close();
  await cluster?.stop();
});

/** In a page: takes a seat, and has window.glare play its part. */
async function arrive(name) {
  const { Call, Signalbox } = await import('/sdk/index.js');
  const glare = { troubles: [], candidates: 0, early: 0, answers: 0, rollbacks: 0 };
  class Watched extends RTCPeerConnection {
    #answering = 0;

    addIceCandidate(candidate) {
      glare.candidates += 1;
      if (!this.remoteDescription?.sdp.includes(`a=ice-ufrag:${candidate.usernameFragment}\r\n`)) glare.early += 1;
      return super.addIceCandidate(candidate);
    }

    async setRemoteDescription(description) {
      const answers = description.type === 'answer';
      // An offer that waits for the answer before it rolls nothing back.
      if (!answers && this.signalingState === 'have-local-offer' && this.#answering === 0) glare.rollbacks += 1;
      if (answers) glare.answers += 1;
      this.#answering += answers;
      try {
        await super.setRemoteDescription(description);
      } finally {
        this.#answering -= answers;
      }
    }
  }
  const client = new Signalbox(location.origin, { app: 'demo', name });
  await client.connect();
  const room = await client.join('glare', { capacity: 2 });
  const call = new Call(client, room, { RTCPeerConnection: Watched });
  call.addEventListener('error', ({ detail }) => glare.troubles.push(String(detail.error)));
  client.addEventListener('state', ({ detail }) => glare.troubles.push(`client: ${detail.state} ${detail.error}`));
  for (const type of ['resync', 'closed', 'peer-left']) room.addEventListener(type, () => glare.troubles.push(`room: ${type}`));
  Object.assign(window, { glare: Object.assign(glare, { client, room, call }) });
  return { id: client.session, order: room.self.order, node: client.node };
}

/**
 * In a page: plays the rounds. A round begins for both with one message of the room, in which each changes what it offers; it is over
 * when that is negotiated. Who was there first says when.
 */
async function play([rounds, restart, leads]) {
  const { room, call } = window.glare;
  const [[other, connection]] = call.connections;
  const { pc } = connection;
  const transceiver = pc.addTransceiver('audio', { direction: 'inactive' });
  const channel = pc.createDataChannel('heard', { negotiated: true, id: 1 });
  window.glare.say = (text) => channel.send(text);
  window.glare.heard = new Promise((resolve) => channel.addEventListener('message', ({ data }) => resolve(data)));
  const ufrag = (description) => /a=ice-ufrag:(\S+)/.exec(description?.sdp)?.[1];

  const settles = async (holds) => {
    for (const deadline = performance.now() + 30_000; !(pc.signalingState === 'stable' && holds());) {
      if (performance.now() > deadline) throw new Error(`${pc.signalingState}, ${pc.connectionState}, ${transceiver.currentDirection} ${window.glare.troubles}`);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  };
  const turn = async (round) => {
    const before = [ufrag(pc.localDescription), ufrag(pc.remoteDescription)];
    const wanted = round % 2 === 0 ? 'sendonly' : 'inactive';
    const restarts = round % restart === 0;
    transceiver.direction = wanted;
    if (restarts) pc.restartIce();
    await settles(() => transceiver.currentDirection === wanted && (!restarts || (pc.connectionState === 'connected'
      && ufrag(pc.localDescription) !== before[0] && ufrag(pc.remoteDescription) !== before[1])));
  };

  let left = 0;
  const played = new Promise((resolve, reject) => {
    const over = async (round) => {
      left -= 1;
      if (leads && left === 0 && round < rounds) await begin(round + 1);
      if (left === 0 && round === rounds) resolve();
    };
    const begin = (round) => room.publish(round, { topic: 'round', echo: true });
    room.addEventListener('message', ({ detail: { topic, data } }) => {
      if (topic === 'over') over(data).catch(reject);
      if (topic !== 'round') return;
      left = 2;
      turn(data).then(() => room.publish(data, { topic: 'over', echo: true })).catch(reject);
    });
    // Both listen, and are connected.
    settles(() => pc.connectionState === 'connected').then(() => room.setState({ ready: true })).catch(reject);
    if (leads) settles(() => [...room.peers.values()].every(({ state }) => state.ready)).then(() => begin(1)).catch(reject);
  });
  await played;
  return { polite: connection.polite, other };
}

test(`both sides make an offer at once ${ROUNDS} times, and none gets lost`, { timeout: 120_000 }, async () => {
  const pages = [];
  const selves = [];
  for (const [n, who] of ['Ada', 'Bob'].entries()) {
    pages.push(await all.open(who, `${cluster.gateways[n].url}/index.html`));
    selves.push(await pages[n].evaluate(arrive, who));
  }
  const [ada, bob] = selves;
  assert.notEqual(ada.node, bob.node);
  await pages[0].waitForFunction(() => window.glare.call.connections.size === 1);

  const began = performance.now();
  const played = await Promise.all(pages.map((page, n) => page.evaluate(play, [ROUNDS, RESTART, n === 0])));
  const took = performance.now() - began;
  assert.deepEqual(played, [{ polite: false, other: bob.id }, { polite: true, other: ada.id }], 'who came later is polite');
  assert.ok(ada.order < bob.order);

  const [hers, his] = await Promise.all(pages.map((page) => page.evaluate(() => {
    const { troubles, candidates, early, answers, rollbacks } = window.glare;
    return { troubles, candidates, early, answers, rollbacks };
  })));
  console.log(`${ROUNDS} rounds in ${Math.round(took)} ms: ${his.rollbacks} collisions, ${hers.answers} and ${his.answers} answers, ${hers.candidates + his.candidates} candidates`);
  assert.deepEqual([hers.troubles, his.troubles], [[], []]);
  assert.deepEqual([hers.early, his.early], [0, 0], 'candidates before the description that they belong to');
  assert.ok(hers.candidates > 0 && his.candidates > 0);
  assert.equal(hers.rollbacks, 0, 'the impolite side never gives way');
  assert.ok(his.rollbacks > ROUNDS / 4, 'two sides that begin at once hardly ever collide');

  // What belongs to no negotiation does no harm, and what is for nobody is answered to its sender.
  const code = await pages[0].evaluate(async (bob) => {
    const { room } = window.glare;
    await room.signal(bob, { description: { type: 'answer', sdp: 'v=0\r\n' } });
    await room.signal(bob, { candidate: { candidate: 'candidate:1 1 udp 1 192.0.2.1 9 typ host', sdpMid: '0', usernameFragment: 'none' } });
    return room.signal('nobody', { description: { type: 'offer', sdp: 'v=0\r\n' } }).then(() => 'sent', (error) => error.code);
  }, bob.id);
  assert.equal(code, 'peer_gone');
  const heard = pages[1].evaluate(() => window.glare.heard);
  await pages[0].evaluate(() => window.glare.say('still here'));
  assert.equal(await heard, 'still here');
  assert.deepEqual(await pages[1].evaluate(() => window.glare.troubles), []);
  all.assertNoTrouble();
});

test('connections whose first offers are rolled back at once begin all the same, many in one page', async () => {
  const page = await all.open('Cy', `${cluster.gateways[0].url}/index.html`);
  const states = await page.evaluate(async (count) => {
    const { PeerConnection } = await import('/sdk/index.js');
    const copy = (data) => JSON.parse(JSON.stringify(data));
    // What the impolite end sends is there in the turn in which the polite end's own offer is.
    const pair = async () => {
      const held = [];
      let polite;
      const impolite = new PeerConnection({
        polite: false, configuration: {}, report: () => {}, send: (data) => (polite ? polite.receive(copy(data)) : held.push(copy(data))),
      });
      impolite.pc.addTransceiver('audio');
      while (!held.some(({ description }) => description)) await new Promise((resolve) => setTimeout(resolve, 1));
      return () => {
        polite = new PeerConnection({
          polite: true, configuration: {}, report: () => {},
          send: (data) => {
            for (const one of held.splice(0)) polite.receive(one);
            impolite.receive(copy(data));
          },
        });
        polite.pc.addTransceiver('audio');
        return [polite, impolite];
      };
    };
    const pairs = await Promise.all(Array.from({ length: count }, pair));
    const ends = pairs.flatMap((meet) => meet());
    const isNew = () => ends.some(({ state }) => state !== 'connected');
    for (const deadline = performance.now() + 10_000; isNew() && performance.now() < deadline;) await new Promise((resolve) => setTimeout(resolve, 20));
    const states = ends.map(({ state }) => state);
    for (const end of ends) end.close();
    return states;
  }, PAIRS);
  assert.deepEqual(states, Array(2 * PAIRS).fill('connected'));
  assert.equal(await page.evaluate(() => window.rollbacks > 0), true, 'nothing is rolled back');
  all.assertNoTrouble();
});
