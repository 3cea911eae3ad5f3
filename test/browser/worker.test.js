// The client in a worker, which has neither a document nor pages that are put away, and talks to a page's own client.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, people } from './browser.js';
import { startCluster } from './cluster.js';

/** A module worker that answers whoever says something, and tells its page when it is there. */
const WORKER = `
  const { Signalbox } = await import(location.origin + '/sdk/index.js');
  const client = await Signalbox.connect(location.origin, { app: 'demo', name: 'Worker' });
  const room = await client.join('worker');
  let answered;
  room.addEventListener('message', ({ detail }) => (answered = room.signal(detail.peer, { heard: detail.data, document: typeof document })));
  room.addEventListener('closed', ({ detail }) => postMessage({ closed: detail.reason }));
  addEventListener('message', () => answered.then(() => client.close()));
  postMessage({ id: room.self.id });
`;

let cluster;
let browser;

before(async () => {
  cluster = await startCluster();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await cluster?.stop();
});

test('a client in a module worker talks to the one of its page', async () => {
  const all = people(browser);
  // The pages' policy lets no worker be made of text.
  const page = await all.open('Ada', `${cluster.gateways[0].url}/index.html`, { bypassCSP: true });
  const told = await page.evaluate(async ([url, program]) => {
    const { Signalbox } = await import('/sdk/index.js');
    const next = (target, type) => new Promise((resolve) => target.addEventListener(type, resolve, { once: true }));
    const worker = new Worker(URL.createObjectURL(new Blob([program], { type: 'text/javascript' })), { type: 'module' });
    worker.addEventListener('error', ({ message }) => console.error(`the worker: ${message}`));
    const { id } = (await next(worker, 'message')).data;

    const client = await Signalbox.connect(url, { app: 'demo', name: 'Ada' });
    const room = await client.join('worker');
    const present = room.peers.get(id).name;
    const answer = next(room, 'signal');
    await room.publish('Hello');
    const { from, data } = (await answer).detail;

    const [left, closed] = [next(room, 'peer-left'), next(worker, 'message')];
    worker.postMessage('close');
    const told = { present, answered: from === id, data, left: (await left).detail.peer.id === id, closed: (await closed).data };
    worker.terminate();
    client.close();
    return told;
  }, [cluster.gateways[0].url, WORKER]);
  assert.deepEqual(told, {
    present: 'Worker', answered: true, data: { heard: 'Hello', document: 'undefined' }, left: true, closed: { closed: 'left' },
  });
  all.assertNoTrouble();
  await all.close();
});
