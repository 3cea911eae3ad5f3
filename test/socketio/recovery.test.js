// Clients that recover their connection's state: on any gateway, and after the death of the one that they were on.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { CLIENTS, COMBINATIONS, dial, PATIENCE, until, WAYS } from './clients.js';
import { startCluster } from './cluster.js';
import { Peer } from './peer.js';
import { newRoom } from './suite.js';

const FLAGS = ['--socketio.recovery=true'];
const client = CLIENTS.find(({ name }) => name === '4.x');
const RECOVERING = WAYS.map((way) => ({ name: way.name, client, way }));

/** Clients that can recover, on a cluster of their own, and each on a road of its own that can be cut. */
class Site {
  #peers = [];

  async start(flags = []) {
    this.cluster = await startCluster([...FLAGS, ...flags]);
  }

  async stop() {
    this.#peers.forEach((peer) => peer.close());
    await this.cluster?.stop();
  }

  /** Connects a peer. */
  async open(combination, namespace = '', { proxy, ...options } = {}) {
    const road = proxy ?? (await this.cluster.openProxy());
    const peer = new Peer(combination, road.url + namespace, options);
    peer.road = road;
    this.#peers.push(peer);
    return peer.arrive();
  }

  /** Sees to it that what comes by a peer's road does not come to the gateway any more that has its session. */
  leaveGateway(peer) {
    peer.road.drop(this.cluster.gateways.find(({ node }) => node === peer.node).url);
  }
}

/** Cuts a peer's road, does something meanwhile, and waits until it is back. */
async function away(peer, meanwhile) {
  peer.road.cut();
  await peer.until('the loss', () => !peer.socket.connected);
  await meanwhile();
  peer.road.mend();
  await peer.until('the return', () => peer.socket.connected);
}

/** What a peer has heard since the last time, without the offsets, which have to be there. */
function heardBy(peer) {
  return peer.take().filter(([name]) => name !== 'disconnect').map((event) => {
    const offset = event.at(-1);
    assert.equal(typeof offset, 'string', JSON.stringify(event));
    return event.slice(0, -1);
  });
}

/** Of these, what is not about who is away. */
const withoutAway = (events) => events.filter(([name, , detail]) => name !== 'control' || !/^(away|back)-peer$/.test(detail.type));

/** Waits until a peer has heard an event, whatever its offset. */
const hears = (peer, ...event) => peer.until(JSON.stringify(event), () => peer.heard.some((heard) => isLike(heard, event)));

const isLike = (heard, event) => event.every((part, i) => heard[i] === part);

for (const combination of RECOVERING) {
  describe(`recovery, ${combination.name}`, { timeout: 8 * PATIENCE }, () => {
    const site = new Site();
    before(() => site.start(['--rooms.log_length=64']));
    after(() => site.stop());

    it('brings all that was missed, in order and once, on another gateway', async () => {
      const a = await site.open(combination, '/chat');
      const b = await site.open(combination, '/chat');
      const rooms = [newRoom(), 'a room with spaces'];
      for (const room of rooms) {
        await a.do('join', room);
        await b.do('join', room);
        await b.do('message', room, 'before');
        await hears(a, 'message', room, b.id, 'before');
      }
      const { id, node } = a;
      assert.ok(!a.socket.recovered);
      heardBy(a);
      const passing = new Map(); // who comes and goes meanwhile, by room
      site.leaveGateway(a);
      await away(a, async () => {
        for (const room of rooms) {
          for (let n = 0; n < 5; n++) await b.do('message', room, { n });
          const c = await site.open(combination, '/chat');
          await c.do('join', room);
          passing.set(room, c.id);
          c.close();
          await hears(b, 'bye', room, passing.get(room));
        }
        await b.do('message', rooms[0], Buffer.from('bytes'));
      });
      assert.equal(a.socket.recovered, true);
      assert.equal(a.id, id);
      assert.notEqual(a.node, node);
      for (const room of rooms) await b.do('message', room, 'after');
      for (const room of rooms) await hears(a, 'message', room, b.id, 'after');
      const heard = heardBy(a);
      for (const room of rooms) {
        const [control, ...rest] = heard.filter((event) => event[1] === room && event[0] === 'control').map((event) => event[2]);
        assert.deepEqual([control.type, control.peer.id, rest], ['joined-peer', passing.get(room), []]);
        assert.deepEqual(heard.filter((event) => event[1] === room && event[0] !== 'control'), [
          ...[0, 1, 2, 3, 4].map((n) => ['message', room, b.id, { n }]),
          ['bye', room, passing.get(room)],
          ...(room === rooms[0] ? [['message', room, b.id, Buffer.from('bytes')]] : []),
          ['message', room, b.id, 'after'],
        ]);
      }
      for (const room of rooms) {
        await a.do('message', room, 'from a');
        await hears(b, 'message', room, id, 'from a');
      }
      assert.equal(b.heard.some((event) => isLike(event, ['bye', rooms[0], id])), false);
    });

    it('works over and over, and sends what was emitted meanwhile', async () => {
      const a = await site.open(combination);
      const b = await site.open(combination);
      const room = newRoom();
      await a.do('join', room);
      await b.do('join', room);
      await hears(a, 'otherjoin', room, b.id);
      const { id } = a;
      heardBy(a);
      heardBy(b);
      for (let round = 0; round < 6; round++) {
        await away(a, async () => {
          await b.do('message', room, { round });
          a.emit('message', room, { mine: round }); // kept by the client
        });
        assert.equal(a.socket.recovered, true, `round ${round}`);
        assert.equal(a.id, id);
        if (round % 2) { // else it comes back from where it was when it came back the last time
          await b.do('message', room, { more: round });
          await a.until('more', () => a.heard.some(([, , data]) => data?.more === round));
        }
        await b.until('what was kept', () => b.heard.some(([, , data]) => data?.mine === round));
      }
      const rounds = [0, 1, 2, 3, 4, 5];
      assert.deepEqual(heardBy(a), rounds.flatMap((round) => [
        ['message', room, { round }], ...(round % 2 ? [['message', room, { more: round }]] : []),
      ]));
      assert.deepEqual(withoutAway(heardBy(b)), rounds.map((mine) => ['message', room, { mine }]));
    });

    it('tells the others of a client that meant to go at once', async () => {
      const [a, b] = [await site.open(combination), await site.open(combination)];
      const room = newRoom();
      await a.do('join', room);
      await b.do('join', room);
      const { id } = a;
      const since = performance.now();
      a.close();
      await hears(b, 'bye', room, id);
      assert.ok(performance.now() - since < 5_000);
      assert.deepEqual(withoutAway(heardBy(b)), [['joined', room, b.id], ['bye', room, id]]);
      a.socket.connect();
      await a.until('the return', () => a.socket.connected);
      assert.equal(a.socket.recovered, false);
      assert.notEqual(a.id, id);
    });

    it('keeps the seat of a client that has closed its transport', async () => {
      const [a, b] = [await site.open(combination), await site.open(combination)];
      const room = newRoom();
      await a.do('join', room);
      await b.do('join', room);
      const { id } = a;
      a.socket.io.engine.close(); // as after a heartbeat that did not come
      await a.until('the loss', () => !a.socket.connected);
      await a.until('the return', () => a.socket.connected);
      assert.equal(a.socket.recovered, true);
      assert.equal(a.id, id);
      await b.do('message', room, 'still there');
      await hears(a, 'message', room, 'still there');
    });

    it('begins anew where something is missing', async () => {
      const [a, b] = [await site.open(combination), await site.open(combination)];
      const room = newRoom();
      await a.do('join', room);
      await b.do('join', room);
      await hears(a, 'otherjoin', room, b.id);
      for (const [what, meanwhile] of [
        ['the log is too short', async () => {
          for (let n = 0; n < 220; n++) b.emit('message', room, { n });
          await b.do('message', room, 'last');
        }],
        ['nothing was heard', () => (a.socket._lastOffset = undefined)], // as when the answer to a join is lost
        ['the offset is none', () => (a.socket._lastOffset = 'nonsense')],
        ['the offset is of another life of the room', () => (a.socket._lastOffset = `${room}:ABCDEFGHIJKL:1`)],
      ]) {
        const { id } = a;
        const pid = a.socket._pid;
        await away(a, meanwhile);
        assert.equal(a.socket.recovered, false, what);
        assert.notEqual(a.id, id);
        assert.notEqual(a.socket._pid, pid);
        await a.do('join', room); // its own seat does not keep it out
        await hears(b, 'otherjoin', room, a.id);
        await b.do('message', room, what);
        await hears(a, 'message', room, what);
        assert.equal(b.heard.filter((event) => isLike(event, ['bye', room, id])).length, 1, what);
      }
    });
  });
}

describe('recovery and time', { timeout: 8 * PATIENCE }, () => {
  const site = new Site();
  before(() => site.start(['--rooms.grace=1s']));
  after(() => site.stop());

  it('begins anew when the grace is over, of which the others hear then', async () => {
    const [a, b] = [await site.open(RECOVERING[2]), await site.open(RECOVERING[2])];
    const room = newRoom();
    await a.do('join', room);
    await b.do('join', room);
    await hears(a, 'otherjoin', room, b.id);
    const { id } = a;
    await away(a, () => hears(b, 'bye', room, id));
    assert.equal(a.socket.recovered, false);
    assert.notEqual(a.id, id);
    await a.do('join', room);
    await hears(b, 'otherjoin', room, a.id);
    const seen = a.id;
    await away(a, () => (a.socket._pid = 'nonsense')); // of no session, so nobody knows whose the seat is
    assert.equal(a.socket.recovered, false);
    assert.equal((await a.ask('join', room)).error?.code, 'room_full');
    await hears(b, 'bye', room, seen);
    await a.do('join', room);
    const control = b.heard.find(([name]) => name === 'control');
    assert.equal(control[2].type, 'away-peer');
  });
});

describe('recovery from the death of a gateway', { timeout: 8 * PATIENCE }, () => {
  const site = new Site();
  before(() => site.start());
  after(() => site.stop());

  it('brings all that was missed, in order and once', async () => {
    const pairs = [];
    const [dead, living] = site.cluster.gateways;
    for (const combination of RECOVERING) {
      const pair = { room: newRoom(), sent: [] };
      const one = (gateway) => until('a place', async () => {
        const peer = await site.open(combination);
        if (peer.node === gateway.node) pair[gateway.name] = peer;
        else peer.close();
        return pair[gateway.name];
      });
      await one(dead);
      await one(living);
      [pair.a, pair.b] = [pair[dead.name], pair[living.name]];
      pair.b.road.drop(dead.url);
      pair.b.socket.io.engine.close(); // so that nothing of it goes through the other gateway
      await pair.b.until('the loss', () => !pair.b.socket.connected);
      await pair.b.until('the return', () => pair.b.socket.connected);
      await pair.b.arrive();
      await pair.a.do('join', pair.room);
      await pair.b.do('join', pair.room);
      await hears(pair.a, 'otherjoin', pair.room, pair.b.id);
      pair.id = pair.a.id;
      heardBy(pair.a);
      pairs.push(pair);
    }
    let stopped = false;
    const talk = Promise.all(pairs.map(async ({ b, room, sent }) => {
      for (let n = 0; !stopped; n++) {
        sent.push(['message', room, { n }]);
        await b.do('message', room, { n });
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }));
    await dead.kill();
    await Promise.all(pairs.map(async ({ a }) => {
      await a.until('the loss', () => !a.socket.connected);
      a.road.drop(dead.url);
      await a.until('the return', () => a.socket.connected);
    }));
    stopped = true;
    await talk;
    for (const { a, b, room, sent, id } of pairs) {
      assert.equal(a.socket.recovered, true);
      assert.equal(a.id, id);
      assert.equal(a.node, living.node);
      await b.do('message', room, 'last');
      await hears(a, 'message', room, 'last');
      assert.deepEqual(heardBy(a), [...sent, ['message', room, 'last']]);
      assert.equal(b.heard.some((event) => isLike(event, ['bye', room, id])), false);
    }
  });
});

describe('recovery and other clients', { timeout: 8 * PATIENCE }, () => {
  const site = new Site();
  before(() => site.start());
  after(() => site.stop());

  for (const combination of COMBINATIONS.filter(({ way }) => way.name === 'upgrade')) {
    it(`is ${combination.client.protocol === 5 ? '' : 'not '}offered to ${combination.client.name}`, async () => {
      const offered = combination.client.protocol === 5;
      const [a, b] = [await site.open(combination), await site.open(RECOVERING[1])];
      const room = newRoom();
      await a.do('join', room);
      await b.do('join', room);
      await hears(a, 'otherjoin', room, b.id);
      await b.do('message', room, { data: 1 });
      await hears(a, 'message', room);
      const plain = [['joined', room, a.id], ['otherjoin', room, b.id], ['message', room, { data: 1 }]];
      assert.deepEqual(offered ? heardBy(a) : a.take(), plain);
      const { id } = a;
      a.road.cut();
      if (offered) {
        await b.until('that it is away', () => b.heard.some(([, , detail]) => detail?.type === 'away-peer' && detail.peer === id));
      } else {
        await hears(b, 'bye', room, id);
      }
    });
  }

  it('goes on in two namespaces of one connection', async () => {
    const road = await site.cluster.openProxy();
    const call = await site.open(RECOVERING[2], '', { proxy: road });
    const chat = new Peer({ client: { io: () => call.socket.io.socket('/chat') }, way: RECOVERING[2].way }, '');
    await chat.until('a connection', () => chat.socket.connected);
    const room = newRoom();
    await call.do('join', room);
    await chat.do('join', room);
    const ids = [call.id, chat.id];
    await away(call, () => chat.until('the loss', () => !chat.socket.connected));
    await chat.until('the return', () => chat.socket.connected);
    assert.deepEqual([call.socket.recovered, chat.socket.recovered, call.id, chat.id], [true, true, ...ids]);
    await call.do('message', room, 'from the call');
    await hears(chat, 'message', room, call.id, 'from the call');
    chat.close();
  });
});

describe('without recovery', { timeout: 8 * PATIENCE }, () => {
  let cluster;
  before(async () => {
    cluster = await startCluster();
  });
  after(() => cluster?.stop());

  it('there is no pid and nothing behind the arguments', async () => {
    const socket = dial(RECOVERING[1], cluster.url);
    const packets = [];
    socket.io.on('packet', ({ data }) => packets.push(data));
    await new Promise((resolve) => socket.once('connect', resolve));
    const { id } = socket;
    await new Promise((resolve) => socket.emit('join', 'room', resolve));
    socket.close();
    assert.deepEqual(packets.slice(0, 2), [{ sid: id }, ['joined', 'room', id]]);
  });
});
