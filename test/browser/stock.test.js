// The pages on stock socket.io clients, with each other and with the Signalbox client.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { launch, people, plays, receives, sees } from './browser.js';
import { startCluster, startRoad } from './cluster.js';

/** What a browser says of a connection that the test cut. */
const CUT = /WebSocket connection to .* failed|ERR_(EMPTY_RESPONSE|CONNECTION_|SOCKET_NOT_CONNECTED)/;

let cluster;
let browser;
let all;
let rooms = 0;

before(async () => {
  cluster = await startCluster();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await cluster?.stop();
});
beforeEach(() => {
  all = people(browser);
});
afterEach(() => all.close());

const newRoom = () => `stock-${++rooms}`;

/** Opens a page of a gateway, stock.html?client=4 for example, and joins. */
async function call(who, gateway, room, page) {
  const address = new URL(page, gateway.url ?? gateway);
  address.searchParams.set('room', room);
  address.searchParams.set('media', 'generated');
  const opened = await all.open(who, address.href);
  await opened.fill('#name', who);
  await plays(opened, '#preview');
  await opened.click('#join');
  return opened;
}

async function enter(...args) {
  const page = await call(...args);
  await page.waitForSelector('#stage:not([hidden])');
  return page;
}

/** Both sides see and hear each other, and know each other's names. */
async function meet(pages) {
  const names = Object.keys(pages);
  for (const [n, page] of Object.values(pages).entries()) {
    await sees(page, '#connection', 'connected');
    await sees(page, '#remote-caption', names[1 - n]);
    await sees(page, '#count', '2 of 2');
    await plays(page, '#remote-video');
    await receives(page);
    assert.equal(await page.evaluate(() => window.rollbacks), 0, 'a call must not begin with a collision');
  }
}

for (const [first, second] of [
  ['client=4', 'client=2'],
  ['client=2', 'client=4'],
  ['client=4&transport=polling', 'client=2&transport=polling'],
  ['client=2&transport=websocket', 'client=4&transport=websocket'],
]) {
  test(`two stock pages on two gateways: ${first} calls ${second}`, async () => {
    const room = newRoom();
    const [one, two] = cluster.gateways;
    const ada = await enter('Ada', one, room, `stock.html?${first}`);
    await sees(ada, '#status', 'You are in the room. Nobody else is here yet.');
    await sees(ada, '#state', 'joined');
    const bob = await enter('Bob', two, room, `stock.html?${second}`);
    await meet({ Ada: ada, Bob: bob });
    await sees(ada, '#status', 'Bob is here.');
    await sees(bob, '#status', 'You are in a call with Ada.');
    for (const [page, chosen] of [[ada, first], [bob, second]]) {
      await sees(page, '#state', 'joined_conn');
      await sees(page, '#client', chosen.includes('client=4') ? /^socket\.io 4\.\d+\.\d+$/ : /^socket\.io 2\.\d+\.\d+$/);
      await sees(page, '#transport', new URLSearchParams(chosen).get('transport') ?? 'polling → websocket');
    }
    all.assertNoTrouble();
  });
}

for (const [first, second] of [['call.html', 'stock.html?client=4'], ['stock.html?client=4', 'call.html'], ['call.html', 'stock.html?client=2'], ['stock.html?client=2&transport=polling', 'call.html']]) {
  test(`${first} and ${second} call each other`, async () => {
    const room = newRoom();
    const ada = await enter('Ada', cluster.gateways[0], room, first);
    const bob = await enter('Bob', cluster.gateways[1], room, second);
    await meet({ Ada: ada, Bob: bob });

    for (const [page, other, name] of [[ada, bob, 'Ada'], [bob, ada, 'Bob']]) {
      await page.click('#mic');
      await sees(other, '#remote-caption', new RegExp(`${name}.*muted`));
      await page.click('#mic');
      await sees(other, '#remote-caption', name);
    }

    await ada.click('#leave');
    await sees(ada, '#status', 'You have left the call.');
    await sees(bob, '#status', 'Ada has left the call.');
    await ada.click('#join');
    await meet({ Bob: bob, Ada: ada });
    all.assertNoTrouble();
  });
}

test('both make an offer at once, and stay connected', async () => {
  const room = newRoom();
  const pages = [await enter('Ada', cluster.gateways[0], room, 'stock.html?client=4'), await enter('Bob', cluster.gateways[1], room, 'call.html')];
  for (const page of pages) await sees(page, '#connection', 'connected');
  const rollbacks = async () => (await Promise.all(pages.map((page) => page.evaluate(() => window.rollbacks)))).reduce((a, b) => a + b);
  for (let round = 0; (await rollbacks()) < 1; round += 1) {
    assert.ok(round < 50, 'two sides that begin at once never collide');
    const before = await Promise.all(pages.map((page) => page.evaluate(() => {
      const pc = window.peerConnections.at(-1);
      const credentials = pc.remoteDescription.sdp.match(/a=ice-ufrag:(\S+)/)[1];
      pc.restartIce();
      return credentials;
    })));
    for (const [n, page] of pages.entries()) {
      await page.waitForFunction((before) => {
        const pc = window.peerConnections.at(-1);
        return pc.signalingState === 'stable' && pc.connectionState === 'connected' && pc.remoteDescription.sdp.match(/a=ice-ufrag:(\S+)/)[1] !== before;
      }, before[n]);
    }
  }
  for (const page of pages) await plays(page, '#remote-video');
  all.assertNoTrouble();
});

test('a third person is told that the room is full, whichever client she has', async () => {
  const room = newRoom();
  const [one, two] = cluster.gateways;
  const ada = await enter('Ada', one, room, 'stock.html?client=4');
  const bob = await enter('Bob', two, room, 'stock.html?client=2');
  await meet({ Ada: ada, Bob: bob });
  const eves = [];
  for (const page of ['stock.html?client=4', 'stock.html?client=2', 'call.html']) {
    const eve = await call('Eve', one, room, page);
    await sees(eve, '#full-title', 'This room is full');
    await sees(eve, '#full-room', room);
    eves.push(eve);
  }
  await sees(ada, '#count', '2 of 2');
  await sees(ada, '#state', 'joined_conn');

  // The seat of one who leaves is free again; so is that of one who closes the window.
  await bob.click('#leave');
  await sees(bob, '#status', 'You have left the call.');
  await sees(ada, '#status', 'Bob has left the call.');
  await sees(ada, '#waiting-title', 'Bob has left');
  await sees(ada, '#state', 'joined_unbind');
  await sees(ada, '#count', '1 of 2');
  await eves[1].click('#full-again');
  await meet({ Ada: ada, Eve: eves[1] });
  await ada.close();
  await sees(eves[1], '#status', 'Ada has left the call.');
  await eves[0].click('#full-again');
  await sees(eves[1], '#state', 'joined_conn');
  await sees(eves[0], '#connection', 'connected');
  all.assertNoTrouble();
});

test('what is switched off is told to whoever comes later', async () => {
  const room = newRoom();
  const ada = await enter('Ada', cluster.gateways[0], room, 'stock.html?client=4');
  await ada.click('#camera');
  const bob = await enter('Bob', cluster.gateways[1], room, 'stock.html?client=2');
  await bob.waitForSelector('#remote[data-camera=off]');
  await ada.click('#camera');
  await bob.waitForSelector('#remote[data-camera=on]');
  await bob.click('#hand');
  await sees(ada, '#people', /hand raised/);
  all.assertNoTrouble();
});

for (const client of ['4', '2']) {
  test(`a lost connection is shown, and comes back by itself: client=${client}`, async () => {
    const room = newRoom();
    const road = await startRoad(cluster.gateways[0].url);
    try {
      const ada = await enter('Ada', road.url, room, `stock.html?client=${client}`);
      const bob = await enter('Bob', cluster.gateways[1], room, 'stock.html?client=4');
      await meet({ Ada: ada, Bob: bob });
      await ada.click('#mic');

      road.cut();
      await sees(ada, '#signaling', 'reconnecting');
      await sees(ada, '#status', 'The connection is lost. Reconnecting…');
      await sees(ada, '#state', 'init');
      await sees(bob, '#status', 'Ada has left the call.');

      road.mend();
      await sees(ada, '#state', 'joined_conn');
      await sees(bob, '#remote-caption', /Ada.*muted/);
      for (const page of [ada, bob]) {
        await sees(page, '#connection', 'connected');
        await plays(page, '#remote-video');
      }
      all.assertNoTrouble(CUT);
    } finally {
      await road.stop();
    }
  });

  test(`a gateway that cannot be reached is told, and waiting can be given up: client=${client}`, async () => {
    const road = await startRoad(cluster.gateways[0].url);
    try {
      const ada = await all.open('Ada', `${road.url}/stock.html?media=generated&client=${client}`);
      await ada.fill('#name', 'Ada');
      await ada.click('#join');
      await ada.click('#leave');
      road.cut();
      await ada.click('#join');
      await sees(ada, '#status', 'The gateway does not answer. Trying again…');
      await ada.click('#cancel');
      await ada.waitForSelector('#join:enabled');
      road.mend();
      // Another room: if the cut came while the client changed its transport, the heartbeat alone ends its first seat.
      await ada.fill('#room', newRoom());
      await ada.click('#join');
      await sees(ada, '#state', 'joined');
      all.assertNoTrouble(CUT);
    } finally {
      await road.stop();
    }
  });

  test(`a token that is not valid is told: client=${client}`, async () => {
    const page = await call('Ada', cluster.gateways[0], newRoom(), `stock.html?client=${client}#token=eyJhbGciOiJub25lIn0.e30.`);
    await sees(page, '#problem', client === '4' ? 'Your invitation is not valid, or not any more.' : /^The gateway refuses: /);
    await page.waitForSelector('#join:enabled');
    // The older client has begun its change of transport by then.
    all.assertNoTrouble(/WebSocket is closed before the connection is established/);
  });
}

test('the choice of client and transport is kept in the address', async () => {
  const room = newRoom();
  const page = await all.open('Ada', `${cluster.gateways[0].url}/stock.html?media=generated&room=${room}`);
  await page.fill('#name', 'Ada');
  await page.check('input[name=client][value="2"]');
  await page.selectOption('#transports', 'websocket');
  await page.click('#join');
  await sees(page, '#client', /^socket\.io 2\./);
  const { searchParams } = new URL(page.url());
  assert.deepEqual(Object.fromEntries(searchParams), { media: 'generated', room, client: '2', transport: 'websocket' });
  await page.reload();
  assert.equal(await page.isChecked('input[name=client][value="2"]'), true);
  assert.equal(await page.inputValue('#transports'), 'websocket');
  all.assertNoTrouble();
});

test('a page of another origin loads the client from the gateway, by a script element and by an import', async () => {
  const { url } = cluster.gateways[0];
  const site = createServer((request, response) => {
    response.setHeader('Content-Type', request.url === '/' ? 'text/html' : 'image/png');
    response.end(`<!doctype html><title>Site</title><script src="${url}/socket.io/socket.io.js"></script><script src="${url}/socket.io/signalbox.js"></script>`);
  });
  site.listen(0, '127.0.0.1');
  await once(site, 'listening');
  try {
    const page = await all.open('Ada', `http://127.0.0.1:${site.address().port}/`);
    const loaded = await page.evaluate(async (url) => [typeof window.io, typeof (await import(`${url}/socket.io/socket.io.esm.min.js`)).io], url);
    assert.deepEqual(loaded, ['function', 'function']);
    const helper = await page.evaluate(async (url) => [typeof window.withSignalbox, typeof (await import(`${url}/socket.io/signalbox.esm.js`)).withSignalbox], url);
    assert.deepEqual(helper, ['function', 'function']);
    all.assertNoTrouble();
  } finally {
    site.closeAllConnections();
    site.close();
  }
});

/** Opens the chat with a client, and goes into a room. */
async function talk(who, gateway, room, client) {
  const page = await all.open(who, `${gateway.url ?? gateway}/chat.html?room=${room}&client=${client}`);
  await page.fill('#name', who);
  await page.press('#name', 'Enter');
  await page.waitForFunction(() => document.activeElement.id === 'text');
  return page;
}

async function write(page, text) {
  await page.fill('#text', text);
  await page.press('#text', 'Enter');
}

/** The log's messages: whose they are, by whom, and what. */
function messages(page) {
  return page.$$eval('.message', (lines) => lines.map((line) => [line.classList.contains('own'), line.querySelector('strong').textContent, line.querySelector('.message-text').textContent]));
}

for (const [first, second] of [['signalbox', '4'], ['4', 'signalbox'], ['signalbox', '2'], ['2', '4']]) {
  test(`chat: ${first} and ${second} read each other`, async () => {
    const room = newRoom();
    const [one, two] = cluster.gateways;
    const ada = await talk('Ada', one, room, first);
    const bob = await talk('Bob', two, room, second);
    await sees(ada, '.note', /Bob has come in\./);
    for (const page of [ada, bob]) await sees(page, '#count', '2');

    const said = [];
    for (const [n, [page, who]] of [[ada, 'Ada'], [bob, 'Bob'], [bob, 'Bob'], [ada, 'Ada']].entries()) {
      const text = `line ${n} — “ünïcödé” 😀 <b>`;
      await write(page, text);
      said.push([who, text]);
      for (const reader of [ada, bob]) await sees(reader, '.message:last-child .message-text', text);
    }
    for (const [reader, own] of [[ada, 'Ada'], [bob, 'Bob']]) {
      assert.deepEqual(await messages(reader), said.map(([who, text]) => [who === own, who, text]));
      await sees(reader, '#people', /Ada.*Bob/);
    }
    for (const [page, client] of [[ada, first], [bob, second]]) {
      if (client === 'signalbox') await sees(page, '#client', 'Signalbox');
      else await sees(page, '#client', new RegExp(`^socket\\.io ${client}\\.`));
    }

    await bob.click('#leave');
    await sees(bob, '.note', /You have left\./);
    await sees(ada, '.note', /Bob has left\./);
    await sees(ada, '#count', '1');
    await bob.click('#connect');
    await sees(ada, '#count', '2');
    // In the middle of its change of transport, a client that is gone is missed by the heartbeat alone.
    if (second !== 'signalbox') await sees(bob, '#transport', 'polling → websocket');
    await bob.close();
    await sees(ada, '#count', '1');
    all.assertNoTrouble();
  });
}

test('chat: a bare string of another page on a stock client is read', async () => {
  const room = newRoom();
  const ada = await talk('Ada', cluster.gateways[0], room, 'signalbox');
  const page = await all.open('Bob', `${cluster.gateways[1].url}/index.html`);
  await page.evaluate(async (room) => {
    const script = document.createElement('script');
    script.src = '/socket.io/socket.io.js';
    await new Promise((resolve) => {
      script.onload = resolve;
      document.head.append(script);
    });
    const socket = window.io.connect('/chat');
    socket.emit('join', room);
    socket.on('joined', () => socket.emit('message', room, 'Bob: as in the tutorial'));
  }, `chat.${room}`);
  await sees(ada, '.message-text', 'Bob: as in the tutorial');
  all.assertNoTrouble();
});

test('chat: a stock client that lost its connection comes back', async () => {
  const room = newRoom();
  const road = await startRoad(cluster.gateways[0].url);
  try {
    const ada = await talk('Ada', road.url, room, '4');
    const bob = await talk('Bob', cluster.gateways[1], room, 'signalbox');
    await sees(ada, '.note', /Bob has come in\./);
    road.cut();
    await sees(ada, '#status', 'The connection is lost. Reconnecting…');
    await ada.fill('#text', 'kept');
    await ada.press('#text', 'Enter');
    assert.equal(await ada.inputValue('#text'), 'kept');
    road.mend();
    await sees(ada, '.note', /You were away for a moment/);
    await sees(ada, '#people', /Bob/);
    await ada.press('#text', 'Enter');
    for (const page of [ada, bob]) await sees(page, '.message-text', 'kept');
    assert.deepEqual(await messages(bob), [[false, 'Ada', 'kept']]);
    all.assertNoTrouble(CUT);
  } finally {
    await road.stop();
  }
});
