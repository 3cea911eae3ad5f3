import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { holds, launch, people, plays, receives, sees, sideBySide } from './browser.js';
import { startCluster, startRoad } from './cluster.js';

/** What a browser says of a connection that the test cut. */
const CUT = /WebSocket connection to .* failed|ERR_(EMPTY_RESPONSE|CONNECTION_|SOCKET_NOT_CONNECTED)/;

/** Where the picture of two people in a call goes. */
const PICTURE = process.env.SIGNALBOX_PICTURES && `${process.env.SIGNALBOX_PICTURES}/call.png`;

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

/** Opens the call page of a gateway and fills it in. */
async function atTheDoor(who, gateway, room, media = 'generated') {
  const page = await all.open(who, `${gateway.url ?? gateway}/call.html?room=${room}&media=${media}`);
  await page.fill('#name', who);
  await plays(page, '#preview');
  return page;
}

/** Opens the call page of a gateway and joins. */
async function enter(who, gateway, room, media) {
  const page = await atTheDoor(who, gateway, room, media);
  await page.click('#join');
  await page.waitForSelector('#stage:not([hidden])');
  return page;
}

const newRoom = () => `room-${++rooms}`;

test('two pages on two gateways see each other', async () => {
  const room = newRoom();
  const [one, two] = cluster.gateways;
  const ada = await enter('Ada', one, room);
  await sees(ada, '#status', 'You are in the room. Nobody else is here yet.');
  await sees(ada, '#waiting-title', 'Nobody else is here yet');
  const bob = await enter('Bob', two, room);

  for (const [page, other, gateway] of [[ada, 'Bob', one], [bob, 'Ada', two]]) {
    await sees(page, '#connection', 'connected');
    await sees(page, '#ice', /connected|completed/);
    await sees(page, '#signaling', 'connected');
    await sees(page, '#gateway', gateway.name);
    await sees(page, '#remote-caption', other);
    await sees(page, '#count', '2 of 2');
    await plays(page, '#remote-video');
    await plays(page, '#local-video');
    await receives(page);
  }
  assert.notEqual(await ada.textContent('#gateway'), await bob.textContent('#gateway'));
  await sees(ada, '#status', 'Bob is here.');
  await sees(bob, '#status', 'You are in a call with Ada.');
  // The picture in the README, which make pictures keeps.
  for (const page of [ada, bob]) await page.setViewportSize({ width: 640, height: 582 });
  await sideBySide(browser, [{ page: ada, caption: `Ada, on ${one.name}` }, { page: bob, caption: `Bob, on ${two.name}` }], PICTURE);
  all.assertNoTrouble();
});

test('the fake camera works as well', async () => {
  const room = newRoom();
  const ada = await enter('Ada', cluster.gateways[0], room, 'devices');
  const bob = await enter('Bob', cluster.gateways[1], room);
  assert.equal(await ada.inputValue('#media'), 'devices');
  for (const page of [ada, bob]) {
    await plays(page, '#remote-video');
    await receives(page);
  }
  all.assertNoTrouble();
});

test('who refuses the camera is told so, and takes part with a generated picture', async () => {
  const page = await all.open('Ada', `${cluster.gateways[0].url}/call.html?room=${newRoom()}&media=generated`);
  await page.evaluate(() => {
    navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('denied', 'NotAllowedError'));
  });
  await page.selectOption('#media', 'devices');
  await sees(page, '#preview-note', /not allowed/);
  assert.equal(await page.inputValue('#media'), 'generated');
  await plays(page, '#preview');
  all.assertNoTrouble();
});

test('a third person is told that the room is full, and can take the seat that gets free', async () => {
  const room = newRoom();
  const [one, two] = cluster.gateways;
  const ada = await enter('Ada', one, room);
  const bob = await enter('Bob', two, room);
  await sees(ada, '#count', '2 of 2');
  const eve = await atTheDoor('Eve', one, room);
  await eve.click('#join');
  await sees(eve, '#full-title', 'This room is full');
  await sees(eve, '#full-room', room);
  await sees(ada, '#count', '2 of 2');
  await sees(ada, '#people', /^(?!.*Eve)/);

  await bob.click('#leave');
  await sees(ada, '#status', 'Bob has left the call.');
  await eve.click('#full-again');
  await sees(eve, '#status', 'You are in a call with Ada.');
  await plays(eve, '#remote-video');
  await plays(ada, '#remote-video');
  all.assertNoTrouble();
});

test('muting, the camera and the raised hand are shown at the other side', async () => {
  const room = newRoom();
  const ada = await enter('Ada', cluster.gateways[0], room);
  const bob = await enter('Bob', cluster.gateways[1], room);
  await plays(bob, '#remote-video');

  await ada.click('#mic');
  assert.equal(await ada.getAttribute('#mic', 'aria-pressed'), 'true');
  await sees(bob, '#remote-caption', /muted/);
  await sees(bob, '#people li:first-child', /Ada.*muted/);
  assert.deepEqual(await ada.evaluate(() => document.querySelector('#local-video').srcObject.getAudioTracks().map(({ enabled }) => enabled)), [false]);
  await ada.click('#mic');
  await sees(bob, '#remote-caption', 'Ada');
  assert.equal(await ada.getAttribute('#mic', 'aria-pressed'), 'false');

  await ada.click('#camera');
  await sees(bob, '#people li:first-child', /camera off/);
  await bob.waitForSelector('#remote[data-camera=off]');
  await ada.click('#camera');
  await bob.waitForSelector('#remote[data-camera=on]');
  await plays(bob, '#remote-video');

  await ada.click('#hand');
  await sees(bob, '#people li:first-child', /hand raised/);
  all.assertNoTrouble();
});

test('one hangs up, the other sees it; one closes the window, too', async () => {
  const room = newRoom();
  const ada = await enter('Ada', cluster.gateways[0], room);
  const bob = await enter('Bob', cluster.gateways[1], room);
  await sees(ada, '#connection', 'connected');
  await bob.click('#leave');
  await bob.waitForSelector('#entrance:not([hidden])');
  await sees(bob, '#status', 'You have left the call.');
  await sees(ada, '#status', 'Bob has left the call.');
  await sees(ada, '#waiting-title', 'Bob has left');
  await sees(ada, '#count', '1 of 2');

  await bob.click('#join');
  await sees(ada, '#connection', 'connected');
  await bob.close();
  await sees(ada, '#status', 'Bob has left the call.');
  all.assertNoTrouble();
});

test('both make an offer at once, again and again, and stay connected', async () => {
  const room = newRoom();
  const pages = [await enter('Ada', cluster.gateways[0], room), await enter('Bob', cluster.gateways[1], room)];
  for (const page of pages) await sees(page, '#connection', 'connected');
  const rollbacks = async () => (await Promise.all(pages.map((page) => page.evaluate(() => window.rollbacks)))).reduce((a, b) => a + b);
  assert.equal(await rollbacks(), 0, 'a call must not begin with a collision');
  for (let round = 0; round < 4 || (await rollbacks()) < 2; round += 1) {
    assert.ok(round < 50, 'two sides that begin at once never collide');
    const descriptions = await Promise.all(pages.map((page) => page.evaluate(() => {
      const pc = window.peerConnections.at(-1);
      const before = pc.remoteDescription.sdp.match(/a=ice-ufrag:(\S+)/)[1];
      pc.restartIce();
      return before;
    })));
    // New credentials at both sides, and a settled negotiation.
    for (const [n, page] of pages.entries()) {
      await page.waitForFunction((before) => {
        const pc = window.peerConnections.at(-1);
        return pc.signalingState === 'stable' && pc.connectionState === 'connected' && pc.remoteDescription.sdp.match(/a=ice-ufrag:(\S+)/)[1] !== before;
      }, descriptions[n]);
    }
  }
  for (const page of pages) {
    assert.equal(await page.evaluate(() => window.peerConnections.length), 1);
    await plays(page, '#remote-video');
    await receives(page);
  }
  all.assertNoTrouble();
});

test('a lost connection is shown, the call goes on meanwhile, and it comes back by itself', async () => {
  const room = newRoom();
  const road = await startRoad(cluster.gateways[0].url);
  try {
    const ada = await enter('Ada', road.url, room);
    const bob = await enter('Bob', cluster.gateways[1], room);
    await sees(ada, '#connection', 'connected');
    await ada.click('#mic');
    await sees(bob, '#remote-caption', /muted/);

    road.cut();
    await sees(ada, '#signaling', 'reconnecting');
    await sees(ada, '#status', 'The connection is lost. Reconnecting…');
    await sees(bob, '#remote-caption', /Ada.*reconnecting/);
    await ada.click('#camera');
    for (const page of [ada, bob]) await receives(page);

    road.mend();
    await sees(ada, '#signaling', 'connected');
    await sees(bob, '#remote-caption', /^Ada *muted$/);
    await holds(() => bob.evaluate(() => document.getElementById('remote').dataset.camera === 'off'), 'what was switched meanwhile is told');
    await sees(ada, '#status', 'You are back.');
    await ada.click('#camera');
    for (const page of [ada, bob]) {
      await sees(page, '#connection', 'connected');
      await sees(page, '#count', '2 of 2');
      await plays(page, '#remote-video');
      await receives(page);
      assert.equal(await page.evaluate(() => window.peerConnections.length), 1, 'the call was set up anew');
    }
    all.assertNoTrouble(CUT);
  } finally {
    await road.stop();
  }
});

test('a gateway that cannot be reached is told, and waiting can be given up', async () => {
  const road = await startRoad(cluster.gateways[0].url);
  try {
    const ada = await atTheDoor('Ada', road.url, newRoom());
    road.cut();
    await ada.click('#join');
    await sees(ada, '#status', 'The gateway does not answer. Trying again…');
    await ada.click('#cancel');
    await holds(() => ada.isEnabled('#join'), 'the form is usable again');
    await sees(ada, '#entrance-title', 'Join a call');
    all.assertNoTrouble(CUT);
  } finally {
    await road.stop();
  }
});

test('the form says what is missing', async () => {
  const page = await all.open('Ada', `${cluster.gateways[0].url}/call.html?media=generated`);
  assert.match(await page.inputValue('#room'), /^[a-z]+-[a-z]+-\d{4}$/);
  await page.click('#join');
  await sees(page, '#problem', /who you are/);
  assert.equal(await page.evaluate(() => document.activeElement.id), 'name');
  await page.fill('#name', 'Ada');
  await page.fill('#room', 'no/slash');
  await page.press('#room', 'Enter');
  await sees(page, '#problem', /letters from A to Z/);
  await page.fill('#room', 'with blanks');
  await page.press('#room', 'Enter');
  await sees(page, '#fact-room', 'with-blanks');
  assert.equal(new URL(page.url()).searchParams.get('room'), 'with-blanks');
  all.assertNoTrouble();
});

test('the link leads to the room, without the token', async () => {
  const page = await all.open('Ada', `${cluster.gateways[0].url}/call.html?room=linked&media=generated#token=secret`, { permissions: ['clipboard-read', 'clipboard-write'] });
  await page.click('#copy-entrance');
  await sees(page, '#copy-entrance', 'Link copied');
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), `${cluster.gateways[0].url}/call.html?room=linked`);
  all.assertNoTrouble();
});

test('a token that is not valid is told', async () => {
  const page = await all.open('Ada', `${cluster.gateways[0].url}/call.html?room=linked&media=generated#token=eyJhbGciOiJub25lIn0.e30.`);
  await page.fill('#name', 'Ada');
  await page.click('#join');
  await sees(page, '#problem', 'Your invitation is not valid, or not any more.');
  all.assertNoTrouble();
});
