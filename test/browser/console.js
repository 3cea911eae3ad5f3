// What tests of the console have in common.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { holds } from './browser.js';

/** How long what is waited for may take, in milliseconds. */
const PATIENCE = 30_000;

/**
 * Asks the server API, as a backend does.
 *
 * @param {{key: string, console: string}} cluster
 */
export async function ask(cluster, method, path, body, key = cluster.key) {
  const response = await fetch(new URL(path, cluster.console), {
    method, headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' }, body: body && JSON.stringify(body),
  });
  const answer = await response.json();
  assert.ok(response.ok, `${method} ${path}: ${JSON.stringify(answer)}`);
  return answer;
}

/** The console, with a key. */
export async function open(all, cluster, key = cluster.key, options) {
  const page = await all.open('operator', cluster.console, options);
  await page.fill('#secret', key);
  await page.press('#secret', 'Enter');
  await page.waitForSelector('#nav:not([hidden])');
  return page;
}

export async function show(page, hash) {
  await page.evaluate((hash) => (location.hash = hash), hash);
}

/** Somebody in a room of the chat. */
export async function enter(all, who, gateway, room) {
  const page = await all.open(who, `${gateway.url}/chat.html?room=${room}`);
  await page.fill('#name', who);
  await page.press('#name', 'Enter');
  await page.waitForFunction(() => document.activeElement.id === 'text');
  return page;
}

const axe = readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** axe's own script is run by the debugger, as the page's policy keeps everything else out. What a toast covers is not to be read meanwhile. */
export async function assertAccessible(page, what) {
  await page.$eval('#toast', (toast) => (toast.hidden = true));
  const violations = await page.evaluate(`${await axe}; axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations.map(({ id, nodes }) => [id, nodes.map(({ html, failureSummary }) => [html, failureSummary])]))`);
  assert.deepEqual(violations, [], what);
}

/** The webhooks of an app that has one. Nobody listens there, and no gateway posts to an address that is not public. */
const endpoint = () => [{ id: 'billing', url: 'https://127.0.0.1:9/', secrets: [`whsec_${randomBytes(24).toString('base64')}`], events: ['room.created'] }];

/** Gives an app a webhook, that what happens waits for it. */
export const hook = (cluster, app) => ask(cluster, 'PATCH', `/v1/apps/${app}`, { webhooks: endpoint() });

/** Takes the webhook away once a number of events wait for it, and waits until they are dead letters. */
export async function unhook(cluster, app, count) {
  await samples(cluster, ({ nodes }) => nodes.reduce((sum, { counts }) => sum + (counts?.pending ?? 0), 0) >= count);
  await ask(cluster, 'PATCH', `/v1/apps/${app}`, { webhooks: [] });
  await holds(async () => (await ask(cluster, 'GET', `/v1/apps/${app}/webhooks/dead-letters`)).deadLetters.length === count, `${count} dead letters`);
}

/** Follows the cluster until a sample is what is waited for. */
async function samples(cluster, wanted) {
  const response = await fetch(new URL('/v1/statistics/events', cluster.console), {
    headers: { Authorization: `Bearer ${cluster.key}` }, signal: AbortSignal.timeout(PATIENCE),
  });
  let text = '';
  for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
    const events = (text + part).split('\n\n');
    text = events.pop();
    for (const event of events) {
      const data = /^data: (.*)$/m.exec(event);
      if (data && wanted(JSON.parse(data[1]))) return; // which ends the stream
    }
  }
  throw new Error('the stream has ended');
}
