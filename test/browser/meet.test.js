import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { launch, people, sees } from './browser.js';
import { startCluster } from './cluster.js';
import { atTheDoor, enter, tileOf, watches } from './meet.js';

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
  await tileOf(ada, 'Bob').locator('.bars[data-quality=good]').waitFor();

  await eve.click('#leave');
  await sees(eve, '#notice-title', 'You have left');
  await sees(ada, '#news', 'Eve has left.');
  await sees(ada, '#people-panel .count', '2 of 6');
  await eve.click('#do-come-back');
  await watches(eve, 'Ada', 'Bob');
  all.assertNoTrouble();
});
