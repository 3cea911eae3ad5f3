// How the meeting page looks and is used: on phones, in the dark, in Chinese, by keys alone, by a screen reader; and how large it is.

import assert from 'node:assert/strict';
import { copyFile, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { launch, people, sees } from './browser.js';
import { startCluster } from './cluster.js';
import { atTheDoor, draw, enter, watches, write } from './meet.js';
import { ROOT } from '../process.js';

/** Where the documentation has its pictures. They are made anew where SIGNALBOX_PICTURES names a folder. */
const PICTURES = join(ROOT, 'docs/pictures');

const WIDE = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };

/** How large the page may be when it is opened for the first time, in bytes as they come over the network. */
const FIRST_LOAD = 100_000;

/** The pictures, each with how it is looked at. */
const LOOKS = {
  'wide-light': { viewport: WIDE, colorScheme: 'light' },
  'wide-dark': { viewport: WIDE, colorScheme: 'dark' },
  'narrow-light': { viewport: PHONE, colorScheme: 'light', hasTouch: true },
  'narrow-dark': { viewport: PHONE, colorScheme: 'dark', hasTouch: true },
};
/** Who else is on the pictures of the documentation: what is checked needs two people, and no more. */
const MORE = process.env.SIGNALBOX_PICTURES ? ['Alan Turing', 'Radia Perlman'] : [];
const PARTS = ['door', 'meeting', 'people', 'board'];

let cluster;
let browser;
let all;
let axe;
let rooms = 0;

before(async () => {
  cluster = await startCluster();
  browser = await launch();
  axe = await readFile(new URL('node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');
});
after(async () => {
  await browser?.close();
  await cluster?.stop();
});
beforeEach(() => {
  all = people(browser);
});
afterEach(() => all.close());

const newRoom = () => `look-${++rooms}`;

/** Nothing that axe finds may be serious or critical, by day and in the dark. */
async function isAccessible(page, part, { colorScheme }) {
  // Not as a script element, which the page's security policy stops.
  await page.evaluate(axe);
  for (const scheme of colorScheme === 'light' ? ['dark', 'light'] : ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.evaluate(() => document.getAnimations().filter((one) => one instanceof CSSTransition).forEach((one) => one.finish()));
    await axeFindsNothing(page, `${part}, ${scheme}`);
  }
}

async function axeFindsNothing(page, part) {
  const { violations, passes } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  assert.ok(passes.length > 10, `${part}: axe has looked at nothing`);
  const found = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  assert.deepEqual(found.map(({ id, nodes }) => [id, nodes.map(({ html, failureSummary }) => [html, failureSummary])]), [], part);
}

/** No page may be wider than its window, and nothing of the meeting outside of it. */
async function fits(page, part) {
  const outside = await page.evaluate(() => {
    const { clientWidth, clientHeight, scrollWidth } = document.documentElement;
    const out = [...document.querySelectorAll('.inside .tile, .inside .key, .inside .board, .inside .panel')].filter((element) => element.checkVisibility())
      .map((element) => [element.id || element.className, element.getBoundingClientRect()])
      .filter(([, { left, top, right, bottom }]) => left < -1 || top < -1 || right > clientWidth + 1 || bottom > clientHeight + 1);
    return [...(scrollWidth > clientWidth ? [[scrollWidth, clientWidth]] : []), ...out];
  });
  assert.deepEqual(outside, [], part);
}

test('the first load is small', async () => {
  const page = await (await browser.newContext()).newPage();
  let bytes = 0;
  const files = [];
  page.on('requestfinished', async (request) => {
    const { responseHeadersSize, responseBodySize } = await request.sizes();
    bytes += responseHeadersSize + responseBodySize;
    files.push(new URL(request.url()).pathname);
  });
  await page.goto(`${cluster.gateways[0].url}/meet.html?media=generated`, { waitUntil: 'networkidle' });
  await sees(page, '#entrance-title', 'Join a meeting');
  assert.ok(files.includes('/meet.css') && files.includes('/meet.js'), files.join());
  assert.ok(bytes > 10_000 && bytes < FIRST_LOAD, `${bytes} bytes in ${files.length} files`);
  await page.context().close();
});

test('by keys alone', async () => {
  const room = newRoom();
  const page = await all.open('Ada', `${cluster.gateways[0].url}/meet.html?room=${room}&media=generated`);
  await page.waitForFunction(() => document.querySelector('#preview').srcObject?.getTracks().length === 2);
  const order = [];
  for (let i = 0; i < 12 && order.at(-1) !== 'join'; i += 1) {
    await page.keyboard.press('Tab');
    order.push(await page.evaluate(() => document.activeElement.id || document.activeElement.className));
    assert.notEqual(await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle), 'none', order.at(-1));
    if (order.at(-1) === 'name') await page.keyboard.type('Ada');
  }
  assert.deepEqual(order, ['brand', 'plain switch-theme', 'plain switch-language', 'preview-mic', 'preview-camera', 'disc open-settings', 'name', 'room', 'dice', 'door', 'join']);
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.activeElement.id === 'meeting-title');
  for (const [key, selector] of [['m', '#mic[aria-pressed=true]'], ['v', '#camera[aria-pressed=true]'], ['h', '#hand[aria-pressed=true]'], ['p', '#people-panel:not([hidden])']]) {
    await page.keyboard.press(key);
    await page.waitForSelector(selector);
  }
  await page.keyboard.press('Escape');
  await page.waitForFunction(() => document.activeElement.id === 'show-people');
  await page.keyboard.press('c');
  await page.waitForFunction(() => document.activeElement.id === 'text');
  await page.keyboard.type('m is no shortcut here');
  await page.keyboard.press('Enter');
  await sees(page, '.said-text', 'm is no shortcut here');
  assert.equal(await page.getAttribute('#mic', 'aria-pressed'), 'true');
  await page.keyboard.press('Escape');

  // A dialog keeps the focus, and gives it back.
  await page.keyboard.press('q');
  await page.waitForSelector('#dialog[open]');
  for (let i = 0; i < 12; i += 1) {
    await page.keyboard.press('Tab');
    assert.ok(await page.evaluate(() => document.activeElement === document.body || document.querySelector('#dialog').contains(document.activeElement)));
  }
  await page.uncheck('#shortcuts');
  await page.keyboard.press('Escape');
  await page.waitForSelector('#dialog:not([open])', { state: 'attached' });
  await page.keyboard.press('m');
  assert.equal(await page.getAttribute('#mic', 'aria-pressed'), 'true', 'shortcuts are off');
  all.assertNoTrouble();
});

test('in Chinese, by the browser\'s language and by the switch', async () => {
  const room = newRoom();
  const page = await atTheDoor(all, '小明', cluster.gateways[0], room, { locale: 'zh-CN' });
  await sees(page, '#entrance-title', '加入会议');
  assert.equal(await page.getAttribute('html', 'lang'), 'zh-CN');
  await page.click('.switch-language');
  await sees(page, '#entrance-title', 'Join a meeting');
  await page.reload();
  await sees(page, '#entrance-title', 'Join a meeting');
  await page.click('.switch-language');
  await page.fill('#name', '小明');
  await page.click('#join');
  await sees(page, '.alone-title', '还没有其他人');
  await page.click('#show-people');
  await sees(page, '#people', /小明（你）/);
  await sees(page, '#moderation-title', '主持');
  await page.click('#show-chat');
  await sees(page, '#chat-title', '聊天');
  await page.click('#more');
  await page.click('#more-language');
  await sees(page, '#chat-title', 'Chat');
  await sees(page, '#dialog-title', 'More');

  const keys = await page.evaluate(async () => {
    const [{ en }, { zh }] = await Promise.all([import('/meet-en.js'), import('/meet-zh.js')]);
    const named = [...document.querySelectorAll('[data-t], [data-t-label]')].flatMap(({ dataset }) => [dataset.t, dataset.tLabel]).filter(Boolean);
    const values = (text) => (text.match(/\{\w+\}/g) ?? []).sort().join();
    return { en: Object.keys(en).sort(), zh: Object.keys(zh).sort(), lost: named.filter((key) => !(key in en)), differ: Object.keys(en).filter((key) => values(en[key]) !== values(zh[key] ?? '')) };
  });
  assert.deepEqual(keys.zh, keys.en);
  assert.deepEqual([keys.lost, keys.differ], [[], []]);
  all.assertNoTrouble();
});

test('the look can be chosen, and stays', async () => {
  const page = await atTheDoor(all, 'Ada', cluster.gateways[0], newRoom(), { colorScheme: 'dark' });
  const background = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const dark = await background();
  await page.click('.switch-theme');
  const light = await background();
  assert.notEqual(light, dark);
  await page.reload();
  assert.equal(await background(), light);
  all.assertNoTrouble();
});

test('a phone on its side', async () => {
  const room = newRoom();
  const ada = await enter(all, 'Ada', cluster.gateways[0], room, { viewport: { width: 844, height: 390 }, hasTouch: true });
  await enter(all, 'Bob', cluster.gateways[1], room);
  await watches(ada, 'Bob', 'You');
  await fits(ada, 'two');
  await ada.tap('#show-board');
  await ada.waitForSelector('#paper[data-strokes]');
  await fits(ada, 'board');
  const { width, height } = await ada.locator('#paper').boundingBox();
  assert.ok(width > 200 && height > 110, `the whiteboard is ${width} x ${height}`);
  all.assertNoTrouble();
});

test('the pictures of the documentation are those that there are', async () => {
  const wanted = Object.keys(LOOKS).flatMap((look) => PARTS.map((part) => `meet-${part}-${look}.png`)).sort();
  assert.deepEqual((await readdir(PICTURES)).filter((name) => name.startsWith('meet-')).sort(), wanted);
});

// Colours do not change what fits: each width once, and all pairs where pictures are wanted.
for (const [look, options] of Object.entries(LOOKS).filter(([look]) => process.env.SIGNALBOX_PICTURES || look === 'wide-light' || look === 'narrow-dark')) {
  test(`accessible, and as it should look: ${look}`, async () => {
    const dir = await mkdtemp(join(tmpdir(), 'signalbox-meet-'));
    try {
      const shoot = async (page, part, isPicture = true) => {
        await page.mouse.move(1, 1);
        await page.evaluate(() => (document.querySelector('#news').textContent = ''));
        await fits(page, part);
        await isAccessible(page, part, options);
        if (!isPicture) return;
        const name = `meet-${part}-${look}.png`;
        const picture = await page.screenshot({ path: join(dir, name), animations: 'disabled' });
        assert.ok(picture.length > 5_000, `${part} is blank`);
        if (process.env.SIGNALBOX_PICTURES) await copyFile(join(dir, name), join(process.env.SIGNALBOX_PICTURES, name));
      };
      const room = 'amber-otter-4711';
      const [one, two] = cluster.gateways;
      const ada = await atTheDoor(all, 'Ada Lovelace', one, room, options);
      await ada.waitForFunction(() => document.querySelector('#preview').srcObject?.getTracks().length === 2);
      await shoot(ada, 'door');
      await ada.click('#join');
      await sees(ada, '.alone-title', 'Nobody else is here yet');
      await shoot(ada, 'alone', false);
      const grace = await enter(all, 'Grace Hopper', two, room);
      await watches(ada, 'Grace Hopper');
      await grace.click('#mic');
      await grace.click('#hand');
      for (const [i, who] of MORE.entries()) {
        const page = await enter(all, who, [two, one][i % 2], room);
        await watches(ada, who);
        if (i === 0) await page.click('#camera');
      }
      await ada.waitForFunction((others) => document.querySelectorAll('.bars:not([hidden])').length === others, 1 + MORE.length);
      await ada.waitForSelector('.raised:not([hidden])');
      await shoot(ada, 'meeting');
      await ada.click('#show-people');
      await ada.waitForSelector('#moderation:not([hidden])');
      await shoot(ada, 'people');
      await ada.click('#close-people');
      for (const [page, text] of [[grace, 'Is the timetable for the night trains ready?'], [ada, 'Almost. I draw the loop for you.']]) await write(page, text);
      await draw(ada, [[0.15, 0.7], [0.3, 0.25], [0.55, 0.3], [0.7, 0.65], [0.45, 0.8], [0.15, 0.7]]);
      await ada.click('.choice[data-value=red]');
      await ada.click('.choice[data-value=marker]');
      await draw(ada, [[0.75, 0.2], [0.9, 0.2]]);
      await shoot(ada, 'board');
      await ada.click('#show-board');
      await ada.click('#show-chat');
      await shoot(ada, 'chat', false);
      await ada.click('#close-chat');
      for (const open of [['#more'], ['#more', '#more-settings'], ['#invite']]) {
        for (const button of open) await ada.click(button);
        await ada.waitForSelector('#dialog[open]');
        await shoot(ada, open.at(-1), false);
        await ada.keyboard.press('Escape');
      }
      await ada.click('#leave');
      await sees(ada, '#notice-title', 'You have left');
      await shoot(ada, 'left', false);
      all.assertNoTrouble();
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  });
}
