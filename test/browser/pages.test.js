import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { album, launch, people, plays, sees } from './browser.js';
import { startCluster } from './cluster.js';

let cluster;
let browser;
let all;
let pictures;

before(async () => {
  cluster = await startCluster();
  browser = await launch();
  pictures = await album();
});
after(async () => {
  await pictures?.remove();
  await browser?.close();
  await cluster?.stop();
});
beforeEach(() => {
  all = people(browser);
});
afterEach(() => all.close());

const ALL_LOOKS = [
  ['wide-light', { viewport: { width: 1280, height: 800 }, colorScheme: 'light' }],
  ['narrow-dark', { viewport: { width: 390, height: 844 }, colorScheme: 'dark' }],
  ['wide-dark', { viewport: { width: 1280, height: 800 }, colorScheme: 'dark' }],
  ['narrow-light', { viewport: { width: 390, height: 844 }, colorScheme: 'light' }],
];
// Colours do not change what fits: each width and each scheme once, and the other pairs where somebody keeps the pictures to
// look at them.
const LOOKS = process.env.SIGNALBOX_SCREENSHOTS ? ALL_LOOKS : ALL_LOOKS.slice(0, 2);

/** No page may be wider than its window. */
async function fits(page) {
  const { scroll, client } = await page.evaluate(() => ({ scroll: document.documentElement.scrollWidth, client: document.documentElement.clientWidth }));
  assert.ok(scroll <= client, `the page is ${scroll} wide in a window of ${client}`);
}

test('the landing page says which gateway serves it, and leads to the others', async () => {
  const names = [];
  for (const { name, url } of cluster.gateways) {
    const page = await all.open('Ada', url);
    await sees(page, '#gateway', new RegExp(`Served by ${name} at ${new URL(url).host}`));
    names.push(await page.textContent('#gateway strong'));
    await page.click('a.door[href="call.html"]');
    await sees(page, 'h1', 'Join a call');
    await page.click('nav a[href="chat.html"]');
    await sees(page, 'h1', 'Chat');
    await page.click('.brand');
    await sees(page, 'h1', /one room/);
    await page.click('a.door[href="stock.html"]');
    await sees(page, '#clients', /socket\.io 4/);
  }
  assert.equal(new Set(names).size, 2);
  all.assertNoTrouble();
});

test('security headers', async () => {
  for (const path of ['/', '/call.html', '/chat.html', '/stock.html', '/style.css', '/call.js', '/sdk/index.js']) {
    const response = await fetch(cluster.gateways[0].url + path);
    assert.equal(response.status, 200, path);
    const policy = response.headers.get('content-security-policy') ?? '';
    assert.match(policy, /default-src 'self'/, path);
    assert.doesNotMatch(policy, /unsafe-/, path);
    assert.equal(response.headers.get('x-content-type-options'), 'nosniff', path);
    assert.match(response.headers.get('permissions-policy') ?? '', /camera=\(self\)/, path);
  }
});

test('every control has a name, and focus can be seen', async () => {
  for (const path of ['', 'call.html?media=generated', 'stock.html?media=generated', 'chat.html']) {
    const page = await all.open('Ada', `${cluster.gateways[0].url}/${path}`);
    const nameless = await page.$$eval('a, button, input, select, textarea', (elements) => elements
      .filter((element) => !(element.textContent.trim() || element.labels?.length || element.getAttribute('aria-label')))
      .map((element) => element.outerHTML));
    assert.deepEqual(nameless, [], path);
    await page.keyboard.press('Tab');
    assert.notEqual(await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle), 'none', path);
  }
  all.assertNoTrouble();
});

for (const [look, options] of LOOKS) {
  test(`pictures: ${look}`, async () => {
    const [one, two] = cluster.gateways;
    const shoot = async (page, name) => {
      await fits(page);
      await pictures.shoot(page, `${name}-${look}`);
    };
    const landing = await all.open('Ada', one.url, options);
    await sees(landing, '#gateway', /Served by/);
    await shoot(landing, 'landing');

    const room = `pictures-${look}`;
    const ada = await all.open('Ada', `${one.url}/call.html?room=${room}&media=generated`, options);
    await ada.fill('#name', 'Ada Lovelace');
    await plays(ada, '#preview');
    await shoot(ada, 'call-entrance');
    await ada.click('#join');
    await sees(ada, '#waiting-title', 'Nobody else is here yet');
    await shoot(ada, 'call-waiting');

    const bob = await all.open('Bob', `${two.url}/call.html?room=${room}&media=generated`, options);
    await bob.fill('#name', 'Bob');
    await bob.click('#join');
    await sees(ada, '#connection', 'connected');
    await plays(ada, '#remote-video');
    await bob.click('#mic');
    await bob.click('#hand');
    await sees(ada, '#remote-caption', /muted/);
    await shoot(ada, 'call');
    await ada.click('#camera');
    await bob.waitForSelector('#remote[data-camera=off]');
    await shoot(bob, 'call-camera-off');

    const eve = await all.open('Eve', `${one.url}/call.html?room=${room}&media=generated`, options);
    await eve.fill('#name', 'Eve');
    await eve.click('#join');
    await sees(eve, '#full-title', 'This room is full');
    await shoot(eve, 'call-full');

    const stock = await all.open('Grace', `${one.url}/stock.html?room=stock-${look}&media=generated`, options);
    await plays(stock, '#preview');
    await shoot(stock, 'stock-entrance');
    await stock.fill('#name', 'Grace Hopper');
    await stock.check('input[name=client][value="2"]');
    await stock.click('#join');
    await sees(stock, '#transport', 'polling → websocket');
    await shoot(stock, 'stock-waiting');
    const native = await all.open('Alan', `${two.url}/call.html?room=stock-${look}&media=generated`, options);
    await native.fill('#name', 'Alan');
    await native.click('#join');
    await sees(stock, '#connection', 'connected');
    await plays(stock, '#remote-video');
    await native.click('#mic');
    await sees(stock, '#remote-caption', /Alan.*muted/);
    await shoot(stock, 'stock');

    const chat = await all.open('Ada', `${one.url}/chat.html?room=${room}`, options);
    await shoot(chat, 'chat-entrance');
    const other = await all.open('Grace', `${two.url}/chat.html?room=${room}&client=4`, options);
    for (const [page, name] of [[chat, 'Ada Lovelace'], [other, 'Grace Hopper']]) {
      await page.fill('#name', name);
      await page.press('#name', 'Enter');
      await page.waitForFunction(() => document.activeElement.id === 'text');
    }
    for (const [page, text] of [
      [other, 'Good morning! Is the timetable for the night trains ready?'],
      [chat, 'Almost. The signal at the north tunnel\nstays on amber until noon.'],
      [other, 'Then we take the loop.'],
    ]) {
      await page.fill('#text', text);
      await page.press('#text', 'Enter');
      for (const reader of [chat, other]) await sees(reader, '.message:last-child .message-text', text);
    }
    await shoot(chat, 'chat');
    await shoot(other, 'chat-stock');
    all.assertNoTrouble();
  });
}
