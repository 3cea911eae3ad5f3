import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { holds, launch, people, sees } from './browser.js';
import { startCluster } from './cluster.js';
import * as console from './console.js';
import { assertAccessible, hook, show, unhook } from './console.js';

const HOSTILE = '<img src=x onerror="document.title=1"><b>bold</b>';

let cluster;
let browser;
let all;

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

const ask = (...what) => console.ask(cluster, ...what);
const open = (...how) => console.open(all, cluster, ...how);
const enter = (...who) => console.enter(all, ...who);

/** An app of its own with keys that may look, and change. */
async function makeApp(id, more = {}) {
  await ask('POST', '/v1/apps', { id, ...more });
  const keys = {};
  for (const can of ['read', 'write']) keys[can] = (await ask('POST', `/v1/apps/${id}/api-keys`, { can })).key;
  return keys;
}

test('the console follows two gateways: a room comes, a member joins, events show, a member is kicked, the room ends', async () => {
  const page = await open();
  for (const { name } of cluster.gateways) await sees(page, 'td strong', name);
  await sees(page, '#pulse', 'Live');
  await sees(page, '.badge.good', 'master');
  await show(page, '#/rooms/demo');
  await sees(page, '#count', '0 rooms');
  const secret = 'nobody-else-is-to-read-this';
  const ada = await enter(HOSTILE, cluster.gateways[0], 'hello');
  await sees(page, '.room-name', /hello$/);
  await page.locator('a.room').first().click();
  await sees(page, '.pulse', /Live/);
  await sees(page, 'td strong', HOSTILE);
  await enter('Bob', cluster.gateways[1], 'hello');
  await sees(page, '#events strong', 'joined-peer');
  await sees(page, 'td strong', 'Bob');
  await ada.fill('#text', secret);
  await ada.press('#text', 'Enter');
  await sees(page, '#events strong', 'message');
  assert.ok(!(await page.content()).includes(secret), 'what is said is nobody else\'s');
  assert.equal(await page.locator('main img, main b').count(), 0);
  await assertAccessible(page, 'a room');

  await page.click('button[aria-label="Kick Bob"]');
  await page.click('#ask-yes');
  await sees(page, '#events strong', 'left-peer');
  await holds(async () => !(await page.locator('td strong').allTextContents()).includes('Bob'), 'Bob is still there');
  await page.click('#close');
  await page.click('#ask-yes');
  await sees(page, '.pulse', /The room has ended/);
  await show(page, '#/');
  await sees(page, '.tile', /Gateways2/);
  await holds(() => page.evaluate(() => [...document.querySelectorAll('.tile')].every((tile) => /\d/.test(tile.querySelector('strong').textContent))), 'every figure is known');
  await assertAccessible(page, 'the overview');
  all.assertNoTrouble(/409|404/);
});

test('a key that may only look is offered nothing else, and sees its own app alone; a wrong one is refused', async () => {
  const keys = await makeApp('quiet');
  await ask('POST', '/v1/apps/quiet/rooms', { room: 'still' });
  const page = await all.open('operator', cluster.console);
  await page.fill('#secret', 'sbk.quiet.wrong');
  await page.press('#secret', 'Enter');
  await sees(page, '.notice', 'That key is not known here.');
  await page.fill('#secret', keys.read);
  await page.press('#secret', 'Enter');
  await sees(page, '#key', /read only/);
  assert.deepEqual(await page.locator('#nav a').allTextContents(), ['Rooms', 'Apps', 'Webhooks']);
  await sees(page, '.room-name', 'still');
  await page.locator('a.room').first().click();
  await sees(page, '.pulse', /Live/);
  assert.equal(await page.locator('#close, .kick').count(), 0);
  await show(page, '#/rooms/demo/hello');
  await sees(page, '.notice', /not there/);
  await page.click('#forget');
  await page.waitForSelector('#secret');
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  all.assertNoTrouble(/401|404/);
});

test('thousands of rooms are listed, searched by prefix, and walked with the keyboard', async () => {
  await makeApp('crowd');
  const names = Array.from({ length: 3000 }, (_, i) => `room-${String(i).padStart(4, '0')}`);
  await Promise.all(Array.from({ length: 30 }, async (_, i) => {
    for (const room of names.slice(i * 100, i * 100 + 100)) await ask('POST', '/v1/apps/crowd/rooms', { room });
  }));
  const page = await open();
  await show(page, '#/rooms/crowd');
  await sees(page, '#count', '500 or more rooms');
  assert.ok((await page.locator('.row').count()) < 60, 'only what is seen is in the page');
  await holds(async () => {
    await page.$eval('.virtual', (list) => (list.scrollTop = list.scrollHeight));
    return /^3,000 rooms$/.test(await page.textContent('#count'));
  }, 'the list comes to its end');
  assert.ok((await page.locator('.row').count()) < 60);
  await page.fill('#search', 'room-29');
  await sees(page, '#count', '100 rooms that begin with room-29');
  await sees(page, '.room-name', 'room-2900');
  await page.focus('.virtual');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  assert.equal(await page.evaluate(() => document.activeElement.querySelector('.room-name').textContent), 'room-2901');
  await page.fill('#search', '<b>');
  await sees(page, '#count', '0 rooms that begin with <b>');
  await page.fill('#search', 'room-29');
  await sees(page, '.room-name', 'room-2900');
  await assertAccessible(page, 'the rooms');
  all.assertNoTrouble();
});

test('what no endpoint took is shown, delivered anew, and forgotten, one or all', async () => {
  await makeApp('letters');
  await hook(cluster, 'letters');
  for (const room of ['one', 'two', 'three']) await ask('POST', '/v1/apps/letters/rooms', { room });
  await unhook(cluster, 'letters', 3);
  const page = await open();
  await show(page, '#/webhooks/letters');
  await sees(page, '#count', '3 events were given up');
  await sees(page, 'td .badge', 'removed');
  const rooms = () => page.locator('tbody tr td:nth-child(2)').allTextContents();
  assert.deepEqual((await rooms()).sort(), ['one', 'three', 'two']);
  await assertAccessible(page, 'dead letters');

  // The endpoint is there again, and one event waits for it.
  await hook(cluster, 'letters');
  await page.locator('tr', { hasText: 'two' }).locator('.replay').click();
  await sees(page, '#toast', '1 event to be delivered anew.');
  await sees(page, '#count', '2 events were given up');
  assert.deepEqual((await rooms()).sort(), ['one', 'three']);

  // What is not meant is not done.
  await page.locator('tr', { hasText: 'one' }).locator('.forget').click();
  await page.click('#ask-no');
  await page.locator('tr', { hasText: 'one' }).locator('.forget').click();
  await page.click('#ask-yes');
  await sees(page, '#toast', '1 event forgotten.');
  await sees(page, '#count', '1 event was given up');
  assert.deepEqual(await rooms(), ['three']);
  await page.click('#replay-all');
  await sees(page, '#count', '0 events were given up');

  // Those that were delivered anew come back when the endpoint goes; the one that was forgotten does not.
  await unhook(cluster, 'letters', 2);
  await holds(async () => (await rooms()).sort().join() === 'three,two', 'the two that were delivered anew');
  await page.click('#forget-all');
  await page.click('#ask-yes');
  await sees(page, '#count', '0 events were given up');
  assert.deepEqual((await ask('GET', '/v1/apps/letters/webhooks/dead-letters')).deadLetters, []);
  all.assertNoTrouble();
});

test('webhooks, apps, relays and calls are shown', async () => {
  await makeApp('hooked');
  const page = await open();
  await show(page, '#/webhooks/hooked');
  await sees(page, '#count', '0 events were given up');
  await assertAccessible(page, 'the webhooks');
  await show(page, '#/apps');
  await sees(page, 'td strong', 'hooked');
  await assertAccessible(page, 'the apps');
  await show(page, '#/calls');
  await sees(page, 'td', 'No relay has told of itself.');
  await assertAccessible(page, 'the relays');
  all.assertNoTrouble();
});

test('the console is dark where people like it so, and fits a phone', async () => {
  const page = await open(cluster.key, { colorScheme: 'dark', viewport: { width: 390, height: 844 } });
  for (const [hash, title] of [['#/', 'Overview'], ['#/rooms/crowd', 'Rooms'], ['#/apps', 'Apps'], ['#/webhooks', 'Webhooks'], ['#/calls', 'Relays and calls']]) {
    await show(page, hash);
    await sees(page, 'h1', title);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${title} is wider than a phone`);
    await assertAccessible(page, `${title}, dark and narrow`);
  }
  all.assertNoTrouble();
});
