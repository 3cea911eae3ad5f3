// Stock clients and clients of the native protocol in one room, on two gateways.

import assert from 'node:assert/strict';
import { after, it } from 'node:test';
import { WebSocket } from 'ws';

import { Signalbox } from '../../sdk/js/src/index.js';
import { until } from './clients.js';
import { controlOf, newRoom, withEveryClient } from './suite.js';

const EVENTS = ['peer-joined', 'peer-left', 'peer-state', 'signal', 'message', 'control', 'resync', 'closed'];

withEveryClient('beside native clients', {}, (stage) => {
  const clients = [];
  after(() => clients.forEach((client) => client.close()));

  /** A native client on another gateway than a peer is on, in a room; heard is what it is told. */
  async function native(peer, name, options) {
    for (;;) {
      const client = new Signalbox(stage.cluster.url, { app: 'demo', name: 'Native', WebSocket });
      clients.push(client);
      await client.connect();
      const gateway = stage.cluster.gateways.find(({ node }) => node === peer.node);
      if (client.node === gateway.name) {
        client.close();
        continue;
      }
      const room = await client.join(name, options);
      const heard = [];
      for (const event of EVENTS) {
        room.addEventListener(event, ({ detail: { peer, from, data, changes, topic } }) => {
          heard.push([event, peer?.id ?? from, data ?? changes, topic]);
        });
      }
      return { client, room, heard, id: client.session };
    }
  }

  /** Waits for a native client's event. */
  async function hears({ heard }, wanted) {
    await until(wanted, () => heard.some(([event]) => event === wanted));
    return heard.find(([event]) => event === wanted);
  }

  it('makes calls with them', async () => {
    const name = newRoom();
    const a = await stage.open().arrive();
    await a.do('join', name);
    const n = await native(a, name);
    await a.hears('otherjoin', name, n.id);
    assert.deepEqual([...n.room.peers.keys()], [a.id, n.id]);
    assert.equal(n.room.capacity, 2);

    await n.room.signal(a.id, { description: { type: 'offer', sdp: 'v=0' } });
    await a.hears('message', name, { description: { type: 'offer', sdp: 'v=0' } });
    await a.do('message', name, { description: { type: 'answer', sdp: 'v=0' } });
    await hears(n, 'signal');
    await n.room.publish('to all', { topic: 'chat' });
    await n.room.publish([1, 2], { volatile: true });
    await a.hears('message', name, [1, 2]);

    await n.room.setState({ mic: false });
    await a.do('control', name, { type: 'state', state: { camera: true } });
    await hears(n, 'peer-state');
    await a.do('leave', name);
    await hears(n, 'peer-left');
    await a.do('join', name);
    await hears(n, 'peer-joined');
    await n.room.leave();
    await a.hears('bye', name, n.id);

    const events = a.take();
    const state = controlOf(events.splice(5, 1)[0], 'state', name);
    assert.deepEqual([state.peer, state.state], [n.id, { mic: false }]);
    assert.deepEqual(events, [
      ['joined', name, a.id], ['otherjoin', name, n.id], ['message', name, { description: { type: 'offer', sdp: 'v=0' } }],
      ['message', name, 'to all'], ['message', name, [1, 2]], ['leaved', name, a.id], ['joined', name, a.id], ['bye', name, n.id],
    ]);
    assert.deepEqual(n.heard.filter(([event, id]) => event !== 'closed' && id !== n.id), [
      ['signal', a.id, { description: { type: 'answer', sdp: 'v=0' } }, undefined],
      ['peer-state', a.id, { camera: true }, undefined],
      ['peer-left', a.id, undefined, undefined], ['peer-joined', a.id, undefined, undefined],
    ]);
  });

  it('chats with them', async () => {
    const name = newRoom();
    const a = await stage.open('/chat').arrive();
    await a.do('join', name);
    const n = await native(a, name);
    await a.do('message', name, 'from a stock client');
    await hears(n, 'message');
    await n.room.publish({ text: 'from a native one' }, { topic: 'chat', echo: true });
    await n.room.signal(a.id, { just: 'for you' });
    await a.hears('message', name, n.id, { just: 'for you' });
    await n.room.leave();
    await a.hears('bye', name, n.id);
    const [joined, peer, ...rest] = a.take();
    assert.deepEqual(joined, ['joined', name, a.id]);
    const { id, name: shown } = controlOf(peer, 'joined-peer', name).peer;
    assert.deepEqual([id, shown], [n.id, 'Native']);
    assert.deepEqual(rest, [
      ['message', name, a.id, 'from a stock client'], ['message', name, n.id, { text: 'from a native one' }],
      ['message', name, n.id, { just: 'for you' }], ['bye', name, n.id],
    ]);
    assert.deepEqual(n.heard.filter(([event]) => event === 'message'), [
      ['message', a.id, 'from a stock client', 'message'], ['message', n.id, { text: 'from a native one' }, 'chat'],
    ]);
  });

  it('shares bytes with them', async () => {
    const name = newRoom();
    const a = await stage.open().arrive();
    await a.do('join', name);
    const n = await native(a, name);
    const bytes = Buffer.from([0, 1, 254, 255]);
    await a.do('message', name, { file: bytes, name: 'é' });
    assert.deepEqual(await hears(n, 'message'), [
      'message', a.id,
      { data: { file: { _placeholder: true, num: 0 }, name: 'é' }, attachments: [bytes.toString('base64')] }, 'binary',
    ]);
    const shape = { data: [{ _placeholder: true, num: 0 }, 1], attachments: [bytes.toString('base64')] };
    await n.room.publish(shape, { topic: 'binary' });
    await a.hears('message', name, [bytes, 1]);
    for (const odd of [
      1, { data: 1 }, { data: { _placeholder: true, num: 1 }, attachments: ['AAAA'] }, { data: 1, attachments: ['*'] },
    ]) {
      await n.room.publish(odd, { topic: 'binary' });
      await a.hears('message', name, odd);
    }
    await n.room.leave();
  });

  it('is told by them when they are full', async () => {
    const name = newRoom();
    const a = await stage.open().arrive();
    const n = await native(a, name, { capacity: 1 });
    assert.equal((await a.ask('join', name)).error.code, 'room_full');
    assert.deepEqual(a.take(), [['full', name, a.id]]);
    await n.room.leave();
    assert.equal((await a.do('join', name)).count, 1);
    await assert.doesNotReject(native(a, name));
    await assert.rejects(native(a, name), { code: 'room_full' });
  });
});
