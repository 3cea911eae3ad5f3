// Pictures of the console, which the documentation has. They are made anew where SIGNALBOX_PICTURES names a folder.

import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { launch, people, sees } from './browser.js';
import { startCluster } from './cluster.js';
import { ask, assertAccessible, enter, hook, open, show, unhook } from './console.js';
import { ROOT } from '../process.js';

const WIDE = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };
const LOOKS = {
  'wide-light': { viewport: WIDE, colorScheme: 'light' },
  'wide-dark': { viewport: WIDE, colorScheme: 'dark' },
  'narrow-light': { viewport: PHONE, colorScheme: 'light', hasTouch: true },
  'narrow-dark': { viewport: PHONE, colorScheme: 'dark', hasTouch: true },
};
const PARTS = ['overview', 'rooms', 'room', 'webhooks'];

/** For how long there is something to draw, in milliseconds. */
const TRAFFIC = 30_000;

test('the pictures of the console are those that there are', async () => {
  const wanted = Object.keys(LOOKS).flatMap((look) => PARTS.map((part) => `console-${part}-${look}.png`)).sort();
  assert.deepEqual((await readdir(join(ROOT, 'docs/pictures'))).filter((name) => name.startsWith('console-')).sort(), wanted);
});

test('the console as it should look', { skip: !process.env.SIGNALBOX_PICTURES }, async () => {
  const cluster = await startCluster();
  const browser = await launch();
  const all = people(browser);
  try {
    const pages = new Map();
    for (const [look, options] of Object.entries(LOOKS)) pages.set(look, await open(all, cluster, cluster.key, options));
    for (const app of ['clinic', 'school', 'theatre']) await ask(cluster, 'POST', '/v1/apps', { id: app });
    for (let i = 0; i < 120; i += 1) {
      await ask(cluster, 'POST', '/v1/apps/clinic/rooms', { room: `consultation-${String(i * 37 % 1000).padStart(3, '0')}`, capacity: 2 + i % 5, locked: i % 9 === 4 });
    }
    await hook(cluster, 'clinic');
    for (const ward of ['east', 'north', 'south', 'west']) await ask(cluster, 'POST', '/v1/apps/clinic/rooms', { room: `ward-${ward}` });
    await unhook(cluster, 'clinic', 4);
    const until = performance.now() + TRAFFIC;
    const names = ['Ada Lovelace', 'Grace Hopper', 'Alan Turing', 'Katherine Johnson'];
    for (const [i, who] of names.entries()) await enter(all, who, cluster.gateways[i % 2], i < 3 ? 'night-trains' : 'timetable');
    for (let n = 0; performance.now() < until; n += 1) {
      const wave = 12 + Math.round(8 * Math.sin(n / 25) + 3 * Math.sin(n / 4));
      await Promise.all(Array.from({ length: wave }, () => ask(cluster, 'POST', '/v1/apps/demo/rooms/chat.night-trains/messages', { data: { n } })));
      await new Promise((resolve) => setTimeout(resolve, 150));
    }
    const parts = { overview: '#/', rooms: '#/rooms/clinic', room: '#/rooms/demo/chat.night-trains', webhooks: '#/webhooks/clinic' };
    const seen = { overview: ['.tile', /Gateways2/], rooms: ['.room-name', /^ward/], room: ['td strong', 'Grace Hopper'], webhooks: ['#count', /^4 events/] };
    for (const part of PARTS) {
      for (const page of pages.values()) await show(page, parts[part]);
      if (part === 'rooms') for (const page of pages.values()) await page.fill('#search', 'w');
      for (const page of pages.values()) await sees(page, ...seen[part]);
      if (part === 'rooms') {
        for (const page of pages.values()) {
          await page.fill('#search', '');
          await sees(page, '#count', '124 rooms');
        }
      }
      if (part === 'room') {
        await enter(all, 'Mary Jackson', cluster.gateways[1], 'night-trains');
        for (let n = 0; n < 3; n += 1) await ask(cluster, 'POST', '/v1/apps/demo/rooms/chat.night-trains/messages', { topic: 'timetable', data: { n } });
        await ask(cluster, 'PATCH', '/v1/apps/demo/rooms/chat.night-trains', { version: (await ask(cluster, 'GET', '/v1/apps/demo/rooms/chat.night-trains')).version, properties: { agenda: 'short' } });
        for (const page of pages.values()) await sees(page, '#events strong', 'room');
      }
      for (const [look, page] of pages) {
        await page.mouse.move(1, 1);
        await assertAccessible(page, `${part}, ${look}`);
        const picture = await page.screenshot({ path: join(process.env.SIGNALBOX_PICTURES, `console-${part}-${look}.png`), animations: 'disabled' });
        assert.ok(picture.length > 5_000, `${part} is blank`);
      }
    }
    all.assertNoTrouble();
  } finally {
    await all.close();
    await browser.close();
    await cluster.stop();
  }
});
