import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { holds, launch, people, sees } from './browser.js';
import { startCluster, startRoad } from './cluster.js';

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

async function enter(who, gateway, room) {
  const page = await all.open(who, `${gateway.url ?? gateway}/chat.html?room=${room}`);
  await page.fill('#name', who);
  await page.press('#name', 'Enter');
  await page.waitForFunction(() => document.activeElement.id === 'text');
  return page;
}

/** The log's messages, as who and what. */
function messages(page) {
  return page.$$eval('.message', (lines) => lines.map((line) => [line.querySelector('strong').textContent, line.querySelector('.message-text').textContent]));
}

async function write(page, text) {
  await page.fill('#text', text);
  await page.press('#text', 'Enter');
}

const newRoom = () => `talk-${++rooms}`;

test('two pages on two gateways write to each other, in one order', async () => {
  const room = newRoom();
  const [one, two] = cluster.gateways;
  const ada = await enter('Ada', one, room);
  const bob = await enter('Bob', two, room);
  await sees(ada, '.note', /Bob has come in\./);
  await sees(ada, '#gateway', one.name);
  await sees(bob, '#gateway', two.name);
  for (const page of [ada, bob]) await sees(page, '#count', '2');

  await write(ada, 'Hello Bob');
  await sees(bob, '.message-text', 'Hello Bob');
  await write(bob, 'Hello Ada');
  await sees(ada, '.message-text', 'Hello Ada');
  assert.deepEqual(await messages(ada), [['Ada', 'Hello Bob'], ['Bob', 'Hello Ada']]);
  assert.deepEqual(await messages(bob), await messages(ada));
  assert.equal(await ada.locator('.message.own').count(), 1);

  // Both at once: whatever the order is, it is the same.
  await Promise.all([ada, bob].map(async (page, n) => {
    for (let i = 0; i < 15; i += 1) await write(page, `${n} ${i}`);
  }));
  for (const page of [ada, bob]) await holds(async () => (await messages(page)).length === 32, 'all messages are there');
  const log = await messages(ada);
  assert.deepEqual(await messages(bob), log);
  for (const [n, who] of ['Ada', 'Bob'].entries()) {
    assert.deepEqual(log.filter(([author, text]) => author === who && /^\d/.test(text)).map(([, text]) => text), Array.from({ length: 15 }, (_, i) => `${n} ${i}`));
  }

  await bob.click('#leave');
  await sees(bob, '.note', /You have left\./);
  await sees(ada, '.note', /Bob has left\./);
  await sees(ada, '#count', '1');
  all.assertNoTrouble();
});

test('Enter sends, Shift and Enter starts a new line, blanks send nothing', async () => {
  const page = await enter('Ada', cluster.gateways[0], newRoom());
  await page.keyboard.type('first');
  await page.keyboard.press('Shift+Enter');
  await page.keyboard.type('second');
  assert.deepEqual(await messages(page), []);
  await page.keyboard.press('Enter');
  await sees(page, '.message-text', 'first\nsecond');
  assert.equal(await page.inputValue('#text'), '');
  await page.keyboard.type('   ');
  await page.keyboard.press('Enter');
  await page.keyboard.type('third');
  await page.keyboard.press('Enter');
  await sees(page, '.message-text', 'third');
  assert.equal((await messages(page)).length, 2);
  all.assertNoTrouble();
});

test('what people write is text, never markup', async () => {
  const room = newRoom();
  const nasty = '<img src=x onerror="document.body.remove()"><b>bold</b>';
  const ada = await enter('<i>Ada</i>', cluster.gateways[0], room);
  const bob = await enter('Bob', cluster.gateways[1], room);
  await write(ada, nasty);
  await sees(bob, '.message-text', nasty);
  assert.deepEqual(await messages(bob), [['<i>Ada</i>', nasty]]);
  assert.equal(await bob.locator('#log img, #log b, #log i, #people i').count(), 0);
  all.assertNoTrouble();
});

test('a call and a chat of one name do not take each other\'s seats', async () => {
  const room = newRoom();
  const url = cluster.gateways[0].url;
  for (const who of ['Ada', 'Bob']) {
    const page = await all.open(who, `${url}/call.html?room=${room}&media=generated`);
    await page.fill('#name', who);
    await page.click('#join');
    await page.waitForSelector('#stage:not([hidden])');
  }
  const eve = await enter('Eve', cluster.gateways[1], room);
  await sees(eve, '#count', '1');
  all.assertNoTrouble();
});

test('a lost connection is shown, what was written meanwhile comes, and writing goes on afterwards', async () => {
  const room = newRoom();
  const road = await startRoad(cluster.gateways[0].url);
  try {
    const ada = await enter('Ada', road.url, room);
    const bob = await enter('Bob', cluster.gateways[1], room);
    await sees(ada, '.note', /Bob has come in\./);
    road.cut();
    await sees(ada, '#status', 'The connection is lost. Reconnecting…');
    await ada.fill('#text', 'kept');
    await ada.press('#text', 'Enter');
    assert.equal(await ada.inputValue('#text'), 'kept');
    await sees(bob, '.people .away', /Ada.*away/);
    await bob.fill('#text', 'meanwhile');
    await bob.press('#text', 'Enter');
    road.mend();
    await sees(ada, '.message-text', 'meanwhile');
    await ada.press('#text', 'Enter');
    for (const page of [ada, bob]) {
      await sees(page, '.message-text', 'kept');
      assert.deepEqual(await messages(page), [['Bob', 'meanwhile'], ['Ada', 'kept']]);
      assert.deepEqual((await page.$$eval('.note', (notes) => notes.map((note) => note.textContent))).filter((note) => /left|away/.test(note)), []);
    }
    all.assertNoTrouble(CUT);
  } finally {
    await road.stop();
  }
});
