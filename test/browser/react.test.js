// The React hooks, in pages with React 18 and 19, on two gateways.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { holds, launch, people, plays, sees } from './browser.js';
import { bundle, CLIENT } from './bundle.js';
import { startCluster } from './cluster.js';

/** How large the hooks may be on their way to a browser, without React and the client. */
const MOST = 2_048;

/** Of this folder, also for the hooks, which have one beside them for their types. */
const REACTS = Object.fromEntries([['18', '-18'], ['19', '']].map(([version, suffix]) => [version, Object.fromEntries(
  ['react', 'react-dom'].map((name) => [name, fileURLToPath(new URL(`node_modules/${name}${suffix}`, import.meta.url))]),
)]));

/** React as it is while one develops: that is the one whose StrictMode does everything twice. */
const DEVELOPMENT = { 'process.env.NODE_ENV': '"development"' };

let cluster;
let browser;
let site;

before(async () => {
  const scripts = {};
  const entryPoints = [fileURLToPath(new URL('react/page.js', import.meta.url))];
  for (const [version, alias] of Object.entries(REACTS)) scripts[`/${version}.js`] = await bundle({ entryPoints, alias, define: DEVELOPMENT });
  site = createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://site');
    response.setHeader('Content-Type', scripts[pathname] ? 'text/javascript' : 'text/html');
    response.end(scripts[pathname] ?? `<!doctype html><link rel="icon" href="data:,"><div id="root"></div><script type="module" src="${pathname}.js"></script>`);
  });
  site.listen(0, '127.0.0.1');
  await once(site, 'listening');
  cluster = await startCluster(['--origins', `http://127.0.0.1:${site.address().port}`]);
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await cluster?.stop();
  site?.closeAllConnections();
  site?.close();
});

test('the hooks stay tiny', async () => {
  const text = await bundle({ entryPoints: [CLIENT['@signalbox/client/react']], minify: true, external: ['react', './index.js'], alias: {} });
  const size = gzipSync(text).length;
  assert.ok(size < MOST, `${size} bytes of ${MOST}`);
});

for (const version of Object.keys(REACTS)) {
  test(`React ${version}: components come, go and change, and take one seat each`, async () => {
    const all = people(browser);
    const open = async (name, gateway) => {
      const url = new URL(`http://127.0.0.1:${site.address().port}/${version}`);
      url.search = new URLSearchParams({ gateway: gateway.url, name });
      const page = await all.open(name, url.href);
      return page;
    };
    const ada = await open('Ada', cluster.gateways[0]);
    await sees(ada, '#version', new RegExp(`^${version}\\.`));
    await sees(ada, '#state', 'connected');
    await sees(ada, '#status', 'joined');
    await sees(ada, '#peers', 'Ada');
    assert.equal(await ada.evaluate(() => window.sockets), 1, 'connected twice in StrictMode');

    const bob = await open('Bob', cluster.gateways[1]);
    for (const page of [ada, bob]) await sees(page, '#peers', 'Ada, Bob');
    assert.deepEqual(await ada.evaluate(() => [...window.shown.room.peers.values()].map(({ order }) => order)), [1, 2], 'a seat was taken twice');

    // A stream that comes late, and then another: the other side's picture goes on.
    for (const page of [ada, bob]) await page.click('#picture');
    for (const page of [ada, bob]) {
      await sees(page, '.remote', /: connected$/);
      await plays(page, '.remote video');
    }
    await ada.click('#other');
    await plays(bob, '.remote video');
    assert.equal(await ada.evaluate(() => window.peerConnections.filter((pc) => pc.connectionState !== 'closed').length), 1);
    assert.equal(await ada.evaluate(() => window.peerConnections.find((pc) => pc.connectionState !== 'closed').getSenders().filter(({ track }) => track).length), 1);

    // Listeners of onJoin miss nothing, and are there once.
    await sees(bob, '#lounge', 'heard:');
    await ada.evaluate(() => window.client.rooms.get('lounge').publish('hello'));
    await sees(bob, '#lounge', 'heard: hello');

    // A third is told that the room is full, and gets the seat of one who has gone to another room.
    const eve = await open('Eve', cluster.gateways[0]);
    await sees(eve, '#status', 'room_full');
    await bob.click('#move');
    await sees(bob, '#peers', 'Bob');
    await sees(ada, '#peers', 'Ada');
    assert.equal(await ada.locator('.remote').count(), 0);
    await eve.click('#rejoin');
    await sees(ada, '#peers', 'Ada, Eve');
    await sees(eve, '#status', 'joined');

    // What is taken away closes what it had opened.
    await ada.click('#switch');
    await sees(eve, '#peers', 'Eve');
    await sees(ada, '#state', 'closed');
    await holds(() => ada.evaluate(() => window.peerConnections.every((pc) => pc.signalingState === 'closed')), 'no connection is left open');
    await ada.click('#switch');
    await sees(eve, '#peers', 'Eve, Ada');
    assert.equal(await bob.evaluate(() => window.client.rooms.size), 2);
    all.assertNoTrouble(/React DevTools/);
    await all.close();
  });
}
