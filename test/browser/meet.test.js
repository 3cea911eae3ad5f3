import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { launch, people, sees } from './browser.js';
import { startCluster, startRoad } from './cluster.js';
import { atTheDoor, draw, enter, strokes, tileOf, watches, write } from './meet.js';

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

const newRoom = () => `meeting-${++rooms}`;

test('three people see each other, and what each shows', async () => {
  const room = newRoom();
  const [one, two] = cluster.gateways;
  const ada = await enter(all, 'Ada', one, room);
  await sees(ada, '.alone-title', 'Nobody else is here yet');
  const bob = await enter(all, 'Bob', two, room);
  const eve = await enter(all, 'Eve', one, room);
  await watches(ada, 'Bob', 'Eve');
  await watches(bob, 'Ada', 'Eve', 'You');
  await watches(eve, 'Ada', 'Bob');
  assert.equal(await ada.isVisible('#alone'), false);

  await bob.click('#mic');
  await sees(ada, '.caption', /^Bob.*muted/);
  assert.equal(await bob.getAttribute('#mic', 'aria-pressed'), 'true');
  await bob.click('#camera');
  await ada.waitForFunction(() => [...document.querySelectorAll('.tile[data-camera=off] .caption')].some(({ textContent }) => textContent.startsWith('Bob')));
  await bob.click('#camera');
  await bob.click('#hand');
  await sees(ada, '#news', 'Bob has raised a hand.');
  await tileOf(ada, 'Bob').locator('.raised').waitFor();

  await ada.click('#show-people');
  await sees(ada, '#people li:first-child', /^BBob.*hand raised.*muted/);
  await sees(ada, '#people-panel .count', '3 of 6');
  await tileOf(ada, 'Bob').locator('.bars:not([hidden])').waitFor();

  await eve.click('#leave');
  await sees(eve, '#notice-title', 'You have left');
  await sees(ada, '#news', 'Eve has left.');
  await sees(ada, '#people-panel .count', '2 of 6');
  await eve.click('#do-come-back');
  await watches(eve, 'Ada', 'Bob');
  all.assertNoTrouble();
});

/** Five of them, each seen by four others, keep two processors busy with encoding. */
const CROWD = { frames: 5 };

test('a gateway is killed, and nobody notices but the badge; who comes late finds chat and whiteboard', async () => {
  const room = newRoom();
  const [one, two] = cluster.gateways;
  const three = await cluster.another();
  const road = await startRoad(three.url);
  try {
    const ada = await enter(all, 'Ada', one, room, CROWD);
    const bob = await enter(all, 'Bob', two, room, CROWD);
    const cy = await enter(all, 'Cy', road, room, CROWD);
    const dee = await enter(all, 'Dee', two, room, CROWD);
    const everybody = [[ada, 'Ada'], [bob, 'Bob'], [cy, 'Cy'], [dee, 'Dee']];
    const seeEachOther = async () => {
      for (const [page, name] of everybody) await watches(page, ...everybody.map(([, other]) => other).filter((other) => other !== name));
    };
    await seeEachOther();
    await write(ada, 'Good morning');
    await sees(cy, '#news', 'Ada: Good morning');
    await draw(bob, [[0.2, 0.2], [0.5, 0.6], [0.8, 0.3]]);

    three.kill();
    await cy.waitForSelector('#badge[data-state=busy]');
    await sees(ada, '.caption', /^Cy.*reconnecting/);
    await watches(cy, 'Ada', 'Bob', 'Dee');
    await watches(ada, 'Cy');
    await write(dee, 'Still here?');
    road.turn(one.url);
    await cy.waitForSelector('#badge[data-state=on]');
    await sees(cy, '#news', /Still here|You are back/);
    await seeEachOther();
    for (const [page] of everybody) {
      assert.equal(await page.evaluate(() => window.peerConnections.length), 3, 'no call was set up anew');
    }
    await write(cy, 'Yes');

    await draw(cy, [[0.3, 0.8], [0.6, 0.8]]);
    await dee.close(); // five who see four each are more than two processors can do: test/browser/mesh.test.js has six with small pictures
    const eve = await enter(all, 'Eve', two, room, CROWD);
    await watches(eve, 'Ada', 'Bob', 'Cy');
    await eve.click('#show-chat');
    for (const text of ['Good morning', 'Still here?', 'Yes']) await sees(eve, '.said-text', text);
    await strokes(eve, 2);
    all.assertNoTrouble(CUT);
  } finally {
    await road.stop();
  }
});

test('the whiteboard: others see a stroke while it is drawn, one takes one\'s own back, and clears all', async () => {
  const room = newRoom();
  const ada = await enter(all, 'Ada', cluster.gateways[0], room);
  const bob = await enter(all, 'Bob', cluster.gateways[1], room);
  await strokes(bob, 0);
  await strokes(ada, 0);
  const paper = await ada.locator('#paper').boundingBox();
  await ada.click('.choice[data-value=red]');
  await ada.click('.choice[data-value=thick]');
  await ada.mouse.move(paper.x + 100, paper.y + 100);
  await ada.mouse.down();
  await ada.mouse.move(paper.x + 260, paper.y + 140, { steps: 8 });
  await bob.waitForSelector('#paper[data-live="1"][data-strokes="0"]', { state: 'attached' });
  const red = () => bob.$eval('#paper', (canvas) => {
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    for (let i = 0; i < data.length; i += 4) if (data[i] > 180 && data[i + 1] < 90) return true;
    return false;
  });
  assert.equal(await red(), true);
  await ada.mouse.up();
  await bob.waitForSelector('#paper[data-live="0"][data-strokes="1"]', { state: 'attached' });
  assert.equal(await red(), true);

  // With the keyboard alone.
  await bob.focus('#paper');
  for (const key of ['ArrowLeft', 'Space', 'ArrowDown', 'ArrowDown', 'Shift+ArrowRight', 'Space']) await bob.keyboard.press(key);
  await strokes(ada, 2);
  await bob.click('#undo');
  await strokes(ada, 1);
  await bob.click('#undo');
  await sees(bob, '#news', /nothing that could be undone/);
  await strokes(ada, 1);
  await ada.click('#clear');
  await ada.click('#yes');
  await strokes(bob, 0);
  await sees(bob, '#news', 'Ada has cleared the whiteboard.');
  assert.equal(await red(), false);
  all.assertNoTrouble(/willReadFrequently/); // which is this test's own reading
});

test('who came first moderates: mutes one and all, removes, locks, names the presenter, and ends the meeting', async () => {
  const room = newRoom();
  const [one, two] = cluster.gateways;
  const ada = await enter(all, 'Ada', one, room);
  const bob = await enter(all, 'Bob', two, room);
  const cy = await enter(all, 'Cy', one, room);
  for (const page of [ada, bob]) await page.click('#show-people');
  await ada.waitForSelector('#moderation:not([hidden])');
  assert.equal(await bob.isVisible('#moderation'), false);
  assert.equal(await bob.isVisible('.acts'), false);

  await ada.click('[aria-label="Mute Bob"]');
  await sees(bob, '#news', 'A moderator has muted you. Raise your hand to speak.');
  await bob.waitForSelector('#mic:disabled[aria-pressed=true]');
  assert.deepEqual(await bob.evaluate(() => document.querySelector('.tile[data-screen=false] video[aria-label="Your own picture"]').srcObject.getAudioTracks().map(({ enabled }) => enabled)), [false]);
  await ada.click('[aria-label="Let Bob speak"]');
  await bob.waitForSelector('#mic:enabled[aria-pressed=false]');
  await ada.click('[data-what="mute-all"]');
  for (const page of [bob, cy]) await page.waitForSelector('#mic:disabled');
  assert.equal(await ada.isEnabled('#mic'), true);
  await ada.click('[data-what="unmute-all"]');
  await cy.waitForSelector('#mic:enabled');

  await ada.click('[aria-label="Make Cy the presenter"]');
  await sees(cy, '#news', 'You present.');
  await tileOf(bob, 'Cy').and(bob.locator('.large')).waitFor();
  await bob.waitForSelector('#people [data-note=note-presenter]');
  await ada.click('[aria-label="Cy presents no more"]');
  await ada.click('[data-what="spotlight"]');
  await bob.waitForSelector('.tile.large');
  await ada.click('[data-what="spotlight"]');
  await bob.waitForSelector('.tile.large', { state: 'detached' });

  await ada.click('[data-what="lock"]');
  await bob.waitForSelector('#locked');
  const eve = await atTheDoor(all, 'Eve', two, room);
  await eve.click('#join');
  await sees(eve, '#notice-title', 'This meeting is locked');
  await ada.click('[data-what="lock"]');
  await bob.waitForSelector('#locked', { state: 'hidden' });
  await eve.click('#do-again');
  await sees(ada, '#people', /Eve/);

  await ada.click('[aria-label="Remove Eve"]');
  await ada.click('#yes');
  await sees(eve, '#notice-title', 'You were removed');
  await sees(bob, '#news', 'Eve was removed.');
  await ada.click('[data-what="end"]');
  await ada.click('#yes');
  for (const page of [ada, bob, cy]) await sees(page, '#notice-title', 'The meeting is over');
  all.assertNoTrouble();
});

test('at the door: a moderator admits one and sends another away', async () => {
  const room = newRoom();
  const ada = await atTheDoor(all, 'Ada', cluster.gateways[0], room);
  await ada.check('#door');
  await ada.click('#join');
  await sees(ada, '#meeting-title', `door.${room}`);
  const bob = await atTheDoor(all, 'Bob', cluster.gateways[1], `door.${room}`);
  assert.equal(await bob.isChecked('#door'), true);
  await bob.click('#join');
  await sees(bob, '#notice-title', 'Somebody will let you in');
  await sees(ada, '#news', 'Bob is waiting at the door.');
  await sees(ada, '#waiting-count', '1');
  const eve = await atTheDoor(all, 'Eve', cluster.gateways[1], `door.${room}`);
  await eve.click('#join');
  await sees(ada, '#waiting-count', '2');
  await ada.click('#show-people');
  await ada.click('[aria-label="Admit Bob"]');
  await watches(bob, 'Ada');
  await ada.click('[aria-label="Deny Eve"]');
  await sees(eve, '#notice-title', 'You were not let in');
  await ada.waitForSelector('#waiting', { state: 'hidden' });
  all.assertNoTrouble();
});

test('a full meeting offers to wait, and the seat comes by itself', async () => {
  const room = newRoom();
  const pages = [];
  for (const name of ['Ada', 'Bob']) {
    pages.push(await atTheDoor(all, name, cluster.gateways[0], room));
    // Six pages with pictures would take the machine; the page asks the gateway for as many seats as this says.
    await pages.at(-1).route('**/meet.js', async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, body: (await response.text()).replace('SEATS = 6', 'SEATS = 2') });
    });
    await pages.at(-1).reload();
    await pages.at(-1).fill('#name', name);
    await pages.at(-1).click('#join');
    await pages.at(-1).waitForSelector('#meeting:not([hidden])');
  }
  const eve = await atTheDoor(all, 'Eve', cluster.gateways[1], room);
  await eve.click('#join');
  await sees(eve, '#notice-title', 'This meeting is full');
  await eve.click('#do-wait');
  await sees(eve, '#notice-text', /number 1 of 1/);
  await pages[1].click('#leave');
  await watches(eve, 'Ada');
  all.assertNoTrouble();
});

test('another microphone, a shared screen, and no devices at all', async () => {
  const room = newRoom();
  const ada = await enter(all, 'Ada', cluster.gateways[0], room, { media: 'devices' });
  const bob = await enter(all, 'Bob', cluster.gateways[1], room);
  await watches(bob, 'Ada');
  await ada.click('#more');
  await ada.click('#more-settings');
  await ada.waitForSelector('#choose-mic');
  const devices = await ada.$$eval('#choose-mic option', (options) => options.map(({ value }) => value));
  const before = await ada.inputValue('#choose-mic');
  const other = devices.find((id) => id !== before);
  assert.ok(other, `there is but one microphone: ${devices}`);
  await ada.selectOption('#choose-mic', other);
  await ada.waitForFunction((id) => document.querySelector('#dialog video').srcObject.getAudioTracks()[0].getSettings().deviceId === id, other);
  await ada.waitForFunction(() => document.querySelector('.level.still span').offsetWidth > 0);
  await ada.keyboard.press('Escape');
  assert.equal(await ada.evaluate(() => window.peerConnections.length), 1);

  await ada.evaluate(() => {
    navigator.mediaDevices.getDisplayMedia = async () => {
      const canvas = Object.assign(document.createElement('canvas'), { width: 640, height: 360 });
      const context = canvas.getContext('2d');
      setInterval(() => context.fillRect(Math.random() * 600, Math.random() * 300, 40, 40), 50);
      return canvas.captureStream(10);
    };
  });
  await ada.click('#screen');
  await watches(bob, 'Screen of Ada', 'Ada');
  await tileOf(bob, 'Screen of Ada').and(bob.locator('.large')).waitFor();
  await ada.click('#screen');
  await tileOf(bob, 'Screen of Ada').waitFor({ state: 'detached' });

  const eve = await all.open('Eve', `${cluster.gateways[0].url}/meet.html?room=${room}&media=generated`);
  await eve.evaluate(() => {
    navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('denied', 'NotAllowedError'));
  });
  await eve.click('.open-settings');
  await eve.selectOption('#choose-source', 'devices');
  await sees(eve, '#media-note', /were not allowed/);
  await eve.keyboard.press('Escape');
  await eve.fill('#name', 'Eve');
  await eve.click('#join');
  await watches(eve, 'Ada', 'Bob');
  await sees(bob, '.caption', /^Eve.*muted/);
  all.assertNoTrouble();
});
