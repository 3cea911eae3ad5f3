// Credentials that are told anew while a call is under way: gateways whose TURN credentials are good for ten seconds.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { startCluster } from '../socketio/cluster.js';
import { holds, launch, people, plays, sees } from './browser.js';

/** Nobody listens there, and nobody needs to. */
const TURN = 'turn:127.0.0.1:9?transport=tcp';

const CONFIG = `
pages: {enabled: true}
origins: {allowed: ["*"]}
ice: {ttl: 10s}
ice_servers: [{urls: ["${TURN}"], secret: "a secret of the tests"}]
`;

let cluster;
let browser;

before(async () => {
  cluster = await startCluster([], CONFIG);
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await cluster?.stop();
});

/** The users of the credentials that a page's connection has, which say when they end. */
const users = (page) => page.evaluate(() => window.peerConnections.at(-1).getConfiguration().iceServers.map(({ username }) => username));

test('a running connection gets them, whichever client the page is on', async () => {
  const all = people(browser);
  const pages = [];
  for (const [n, path] of ['stock.html?client=4', 'stock.html?client=2', 'call.html', 'stock.html?client=4'].entries()) {
    const url = new URL(path, cluster.gateways[n % 2].url);
    url.searchParams.set('room', `ice-${n >> 1}`);
    url.searchParams.set('media', 'generated');
    const page = await all.open(`Ada ${n}`, url.href);
    await page.fill('#name', `Ada ${n}`);
    await plays(page, '#preview');
    await page.click('#join');
    await sees(page, '#state, #fact-room', /^joined|^ice-/);
    pages.push(page);
  }
  for (const page of pages) await sees(page, '#connection', 'connected');
  const first = await Promise.all(pages.map(users));
  for (const [name] of first) assert.match(name, /^\d+:demo\//);
  for (const [n, page] of pages.entries()) {
    const [later] = await holds(async () => {
      const now = await users(page);
      return now[0] !== first[n][0] && now;
    }, 'fresh credentials on the connection');
    assert.ok(parseInt(later, 10) > parseInt(first[n][0], 10), `${later} ends later than ${first[n][0]}`);
    assert.equal(await page.evaluate(() => window.peerConnections.length), 1);
    await sees(page, '#connection', 'connected');
    await plays(page, '#remote-video');
  }
  // Nobody is at home at the TURN server, which the browser may say.
  all.assertNoTrouble(/turn:|TURN|ICE/);
  await all.close();
});

test('the page of docs/classic.md, on another site, makes a call of two', async () => {
  const docs = await readFile(new URL('../../docs/classic.md', import.meta.url), 'utf8');
  const [, sample] = /```html\n(<!doctype html>.*?)```/s.exec(docs);
  const site = createServer((request, response) => {
    const { url } = cluster.gateways[request.url === '/second' ? 1 : 0];
    response.setHeader('Content-Type', 'text/html');
    response.end(request.url === '/favicon.ico' ? '' : sample.replaceAll('https://signal.example.com', url));
  });
  site.listen(0, '127.0.0.1');
  await once(site, 'listening');
  const all = people(browser);
  try {
    const pages = [];
    for (const path of ['first', 'second']) {
      const page = await all.open(path, `http://127.0.0.1:${site.address().port}/${path}`);
      pages.push(page);
    }
    const first = [];
    for (const page of pages) {
      await plays(page, '#theirs');
      first.push((await users(page))[0]);
    }
    for (const [n, page] of pages.entries()) await holds(async () => (await users(page))[0] !== first[n], 'fresh credentials on the connection');
    all.assertNoTrouble(/turn:|TURN|ICE/);
  } finally {
    await all.close();
    site.closeAllConnections();
    site.close();
  }
});
