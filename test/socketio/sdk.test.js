// The JavaScript client's methods on real gateways: what its own tests script, a gateway has to do as well.

import assert from 'node:assert/strict';
import { after, before, beforeEach, afterEach, describe, it } from 'node:test';
import { WebSocket } from 'ws';

import { ConflictError, NotSeatedError, Signalbox } from '../../sdk/js/src/index.js';
import { until } from './clients.js';
import { startCluster, token } from './cluster.js';
import { startRoad } from './server.js';
import { newRoom } from './suite.js';

/** How long an event may take, in milliseconds. */
const LATE = 15_000;

const EVERYTHING = ['publish', 'moderate', 'capacity'];

describe('the JavaScript client', { concurrency: 1, timeout: 60_000 }, () => {
  let cluster;
  let clients;
  before(async () => {
    cluster = await startCluster(['--session.expiry_notice', '1m']);
  });
  after(() => cluster?.stop());
  beforeEach(() => {
    clients = [];
  });
  afterEach(() => clients.forEach((client) => client.close()));

  /** A connected client, on the first gateway unless it is said otherwise. */
  async function connect(user, can = EVERYTHING, { url = cluster.gateways[0].url, ...options } = {}) {
    const client = new Signalbox(url, { WebSocket, token: token(user, can), backoff: { min: 1, max: 50 }, ...options });
    clients.push(client);
    await client.connect();
    return client;
  }

  /** One client on each gateway. */
  const connectBoth = (one, other, can) => Promise.all(
    [connect(one), connect(other, can, { url: cluster.gateways[1].url })],
  );

  /** The detail of the next event. */
  const next = (target, type) => new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${type} did not come`)), LATE);
    target.addEventListener(type, ({ detail }) => {
      clearTimeout(timer);
      resolve(detail);
    }, { once: true });
  });

  describe('waiting for a seat', { concurrency: 1 }, () => {
    it('tells the place, and gives the seat that gets free', async () => {
      const name = newRoom();
      const [ada, bob] = await connectBoth('ada', 'bob');
      const eve = await connect('eve');
      const room = await ada.join(name, { capacity: 1 });
      const queued = next(room, 'waiter-joined');
      const places = [];
      const seat = bob.join(name, { wait: true, state: { mic: true }, onPosition: (place) => places.push(place) });
      assert.deepEqual(await queued, { waiter: { id: bob.session, user: 'bob', name: 'bob', reason: 'full', away: false } });
      const waiting = eve.wait(name);
      await next(waiting, 'position');
      assert.deepEqual([waiting.position, waiting.count, waiting.reason], [2, 2, 'full']);
      await until('two wait', () => room.queue.size === 2);
      await assert.rejects(eve.join(name), { code: 'room_full' });

      const gone = next(room, 'waiter-left');
      await room.setCapacity(2);
      const seated = await seat;
      assert.deepEqual(seated.self.state, { mic: true });
      assert.deepEqual([...seated.peers.values()].map(({ user }) => user), ['ada', 'bob']);
      assert.deepEqual([places[0], (await gone).reason, [...seated.queue.values()].map(({ user }) => user)],
        [{ position: 1, count: 1, reason: 'full' }, 'seated', ['eve']]);
      const heard = next(room, 'message');
      await seated.publish('here I am');
      assert.equal((await heard).data, 'here I am');

      const left = next(room, 'waiter-left');
      await waiting.leave();
      await assert.rejects(waiting.room, { code: 'left' });
      assert.equal((await left).reason, 'left');
      assert.equal(room.queue.size, 0);
    });

    it('is given up by a signal', async () => {
      const name = newRoom();
      const [ada, bob] = await connectBoth('ada', 'bob');
      const room = await ada.join(name, { capacity: 1 });
      const controller = new AbortController();
      const seat = bob.join(name, { wait: true, signal: controller.signal });
      await next(room, 'waiter-joined');
      controller.abort(new Error('enough'));
      await assert.rejects(seat, { message: 'enough' });
      await until('nobody waits', () => room.queue.size === 0);
    });

    it('is decided by moderators', async () => {
      const name = `moderated-${newRoom()}`;
      const [ada, bob] = await connectBoth('ada', 'bob', ['publish']);
      const eve = await connect('eve', ['publish']);
      await assert.rejects(bob.join(name), { code: 'room_locked' });
      const seat = bob.join(name, { wait: true });
      const refused = eve.wait(name);
      const room = await ada.join(name);
      await until('two wait', () => room.queue.size === 2);
      assert.equal([...room.queue.values()][0].reason, 'moderated');
      assert.equal(await room.admit(bob.session), 1);
      const seated = await seat;
      await assert.rejects(seated.admit(eve.session), { code: 'forbidden' });
      await until('one waits', () => room.queue.size === 1);
      assert.equal(await room.deny([...room.queue.values()][0]), 1);
      await assert.rejects(refused.room, (error) => error instanceof NotSeatedError && error.code === 'denied' && error.by === ada.session);
      const again = eve.join(name, { wait: true });
      await until('one waits again', () => room.queue.size === 1);
      assert.equal(await room.admitAll(), 1);
      await again;
    });

    it('goes on over lost connections, also when the seat came meanwhile', async () => {
      const name = newRoom();
      const ada = await connect('ada');
      const road = await startRoad(Number(new URL(cluster.gateways[1].url).port));
      try {
        const bob = await connect('bob', EVERYTHING, { url: `http://127.0.0.1:${road.port}` });
        const room = await ada.join(name, { capacity: 1 });
        const waiting = bob.wait(name);
        await next(waiting, 'position');
        road.cut();
        await next(bob, 'state');
        const back = next(bob, 'state');
        const place = next(waiting, 'position');
        road.mend();
        assert.equal((await back).resumed, true);
        assert.deepEqual(await place, { position: 1, count: 1, reason: 'full' });
        assert.equal(room.queue.get(bob.session)?.id, bob.session);

        // The gateway seats it before it has noticed that nobody hears it.
        const seat = next(room, 'peer-joined');
        await Promise.all([room.setCapacity(2), seat]);
        road.cut();
        road.mend();
        const seated = await waiting.room;
        assert.deepEqual([...seated.peers.values()].map(({ user }) => user), ['ada', 'bob']);
        const heard = next(room, 'message');
        await seated.publish('still here');
        assert.equal((await heard).data, 'still here');
      } finally {
        road.stop();
      }
    });

    it('ends with the room', async () => {
      const name = newRoom();
      const [ada, bob] = await connectBoth('ada', 'bob');
      const room = await ada.join(name, { capacity: 1 });
      const waiting = bob.wait(name);
      await next(waiting, 'position');
      const closed = next(room, 'closed');
      assert.equal(await room.end(), 1);
      assert.deepEqual(await closed, { reason: 'closed', by: ada.session });
      await assert.rejects(waiting.room, { name: 'NotSeatedError', code: 'closed' });
    });
  });

  it('keeps messages, and gives them page by page', async () => {
    const name = newRoom();
    const [ada, bob] = await connectBoth('ada', 'bob', ['publish']);
    const room = await ada.join(name);
    const seqs = [];
    for (let i = 0; i < 5; i += 1) seqs.push(await room.publish(i, { topic: 'chat', keep: true }));
    const late = await bob.join(name);
    const pages = [];
    for await (const page of late.history('chat', { limit: 2 })) pages.push(page);
    assert.deepEqual(pages.map(({ messages }) => messages.map(({ data }) => data)), [[3, 4], [1, 2], [0]]);
    const [{ time, ...last }] = pages[0].messages.slice(-1);
    assert.deepEqual(last, { seq: seqs[4], from: ada.session, user: 'ada', name: 'ada', data: 4 });
    assert.ok(Math.abs(time - ada.now()) < 60_000, 'by the same clock');
    const { value: older } = await late.history('chat', { before: seqs[1] }).next();
    assert.deepEqual(older.messages.map(({ data }) => data), [0]);

    const told = next(late, 'message');
    const seq = await room.publish('last', { topic: 'chat', keep: true });
    const { time: at, ...message } = await told;
    assert.deepEqual([message.kept, message.seq, typeof at], [true, seq, 'number']);
    const undone = next(late, 'undone');
    assert.equal(await room.undo('chat'), seq);
    assert.deepEqual(await undone, { topic: 'chat', of: seq, by: ada.session });
    await assert.rejects(late.undo('chat', { of: seqs[0] }), { code: 'forbidden' });
    assert.equal(await room.undo('chat', { of: seqs[0] }), seqs[0]);
    await assert.rejects(late.clear('chat'), { code: 'forbidden' });
    const cleared = next(late, 'cleared');
    await room.clear('chat');
    assert.deepEqual(await cleared, { topic: 'chat', by: ada.session });
    assert.deepEqual((await late.history('chat').next()).value.messages, []);
    assert.equal(await room.undo('whiteboard'), undefined);
  });

  it('moderates', async () => {
    const name = newRoom();
    const [ada, bob] = await connectBoth('ada', 'bob');
    const eve = await connect('eve', ['publish']);
    const [room, other] = [await ada.join(name, { capacity: 3 }), await bob.join(name)];
    const guest = await eve.join(name);
    await until('all see all', () => room.peers.size === 3 && other.peers.size === 3);

    assert.equal(await room.mute(eve.session, 'audio'), 1);
    await until('eve is muted', () => guest.self.state.mutedAudio === true);
    assert.equal(await room.unmute(eve.session, 'audio'), 1);
    assert.equal(await room.muteAll('video'), 2);
    await until('both are muted', () => guest.self.state.mutedVideo && other.self.state.mutedVideo);
    assert.equal(await room.unmuteAll('video'), 2);
    await until('neither is', () => !('mutedVideo' in guest.self.state) && !('mutedAudio' in guest.self.state));
    await assert.rejects(guest.mute(ada.session, 'audio'), { code: 'forbidden' });
    await assert.rejects(room.kick('nobody'), { code: 'peer_gone' });
    await assert.rejects(room.kick(undefined), TypeError);

    // Whoever is second is told of the version that it did not know yet, and does it again.
    await Promise.all([room.lock(), other.setCapacity(2), other.update({ properties: { title: 'Stand-up' } }).catch(() => {})]);
    await until('both know', () => room.capacity === 2 && other.capacity === 2 && room.locked && other.locked);
    await assert.rejects((await connect('dan', ['publish'])).join(name), { code: 'room_locked' });
    await room.unlock();

    const takes = await Promise.allSettled([room.setPresenter(ada.session, { from: null }), other.setPresenter(bob.session, { from: null })]);
    assert.deepEqual(takes.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
    assert.ok(takes.find(({ reason }) => reason)?.reason instanceof ConflictError);
    await until('both know who presents', () => room.presenter !== null && room.presenter === other.presenter);
    await room.setPresenter(null, { from: room.presenter });
    await until('both know that nobody does', () => room.presenter === null && other.presenter === null);

    const rotation = next(other, 'changed');
    const before = ada.now();
    await room.update({ spotlight: { interval: 5_000, order: [ada.session, bob.session] } });
    const { spotlight } = (await rotation).changes;
    assert.ok(Math.abs(spotlight.start - before) < 10_000, 'it begins now');

    const kicked = next(guest, 'closed');
    assert.equal(await room.kick(eve.session), 1);
    assert.deepEqual(await kicked, { reason: 'kicked', by: ada.session });
    assert.equal(await room.kickAll(), 1);
  });

  it('has the next one present', async () => {
    const name = `next-${newRoom()}`;
    const [ada, bob] = await connectBoth('ada', 'bob');
    const [room, other] = [await ada.join(name), await bob.join(name)];
    await room.setPresenter(ada.session);
    await until('bob knows', () => other.presenter === ada.session);
    const changed = next(other, 'changed');
    await room.leave();
    assert.deepEqual(await changed, { by: undefined, changes: { presenter: bob.session } });
  });

  it('goes where the app sends it', async () => {
    const [name, target] = [newRoom(), newRoom()];
    const [ada, bob] = await connectBoth('ada', 'bob');
    const [room, other] = [await ada.join(name), await bob.join(name, { state: { mic: true } })];
    const closed = next(other, 'closed');
    const moved = next(other, 'moved');
    const left = next(room, 'peer-left');
    await cluster.gateways[0].post(`/rooms/${name}/members/${bob.session}/move`, { room: target });
    const { room: there } = await moved;
    assert.deepEqual([there.name, there.self.state, (await closed).reason], [target, { mic: true }, 'moved']);
    assert.equal((await left).peer.id, bob.session);
    assert.deepEqual([...bob.rooms.keys()], [target]);
  });

  it('is refreshed by itself', async () => {
    const tokens = [];
    const getToken = () => {
      tokens.push(token('ada', EVERYTHING, tokens.length === 0 ? 4 : 600));
      return tokens.at(-1);
    };
    const ada = await connect('ada', EVERYTHING, { token: undefined, getToken });
    const room = await ada.join(newRoom());
    const { at } = await next(ada, 'expiring');
    const { expires } = await next(ada, 'refreshed');
    assert.equal(tokens.length, 2);
    assert.ok(expires > at + 500_000);
    await room.publish('under the new token');
    const eve = await connect('eve');
    await assert.rejects(eve.refresh(token('somebody else', EVERYTHING)), { code: 'unauthorized' });
    assert.ok(await eve.refresh(token('eve', EVERYTHING, 900)) > expires);
    const anonymous = await connect('', [], { token: undefined, app: 'demo', name: 'Nobody' });
    await assert.rejects(anonymous.refresh(token('ada', EVERYTHING)), { code: 'unauthorized' });
  });
});
