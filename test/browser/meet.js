// What the tests of the meeting page share.

import { sees } from './browser.js';

/**
 * Opens the meeting page of a gateway and fills it in.
 *
 * @param {ReturnType<import('./browser.js').people>} all
 */
export async function atTheDoor(all, who, gateway, room, { media = 'generated', ...options } = {}) {
  const page = await all.open(who, `${gateway.url ?? gateway}/meet.html?room=${room}&media=${media}`, options);
  await page.fill('#name', who);
  return page;
}

/** Opens the meeting page of a gateway and joins. */
export async function enter(all, who, gateway, room, options) {
  const page = await atTheDoor(all, who, gateway, room, options);
  await page.click('#join');
  await page.waitForSelector('#meeting:not([hidden])');
  return page;
}

/** The tile of somebody, by the name that its caption begins with. */
export function tileOf(page, name) {
  return page.locator('.tile', { has: page.locator('.caption > span:first-child', { hasText: new RegExp(`^${name}$`) }) });
}

/** Waits until a page shows moving pictures of all of these people. */
export async function watches(page, ...names) {
  for (const name of names) {
    await sees(page, '.caption > span:first-child', name);
    await page.waitForFunction((name) => {
      const caption = [...document.querySelectorAll('.caption > span:first-child')].find(({ textContent }) => textContent === name);
      const video = caption?.closest('.tile').querySelector('video');
      if (!video?.srcObject) return false;
      const { totalVideoFrames } = video.getVideoPlaybackQuality();
      const before = Number(video.dataset.frames ?? totalVideoFrames);
      video.dataset.frames = before;
      if (totalVideoFrames < before + 5) return false;
      delete video.dataset.frames;
      return true;
    }, name).catch(async (error) => {
      throw new Error(`no moving pictures of ${name}: ${await page.evaluate(connections)}`, { cause: error });
    });
  }
}

/** The state of each connection of a page, and what frames have come over it. */
async function connections() {
  const all = await Promise.all((window.peerConnections ?? []).map(async (pc) => {
    const frames = [...(await pc.getStats()).values()].filter(({ type, kind }) => type === 'inbound-rtp' && kind === 'video').map((one) => one.framesDecoded);
    return `${pc.connectionState}, ${pc.iceConnectionState}, ${pc.signalingState}, frames ${frames}`;
  }));
  return all.join('; ');
}

/** Writes a message to everybody. */
export async function write(page, text) {
  if (!(await page.isVisible('#chat-panel'))) await page.click('#show-chat');
  await page.fill('#text', text);
  await page.press('#text', 'Enter');
  await sees(page, '.said-text', text);
  await page.click('#close-chat');
}

/** Draws one stroke on the whiteboard, by places from 0 to 1. */
export async function draw(page, places) {
  await openBoard(page);
  const { x, y, width, height } = await page.locator('#paper').boundingBox();
  const before = Number(await page.getAttribute('#paper', 'data-strokes'));
  for (const [i, [across, down]] of places.entries()) {
    await page.mouse.move(x + across * width, y + down * height, { steps: 5 });
    if (i === 0) await page.mouse.down();
  }
  await page.mouse.up();
  await strokes(page, before + 1);
}

/** Waits until a page's whiteboard has so many strokes. */
export async function strokes(page, count) {
  await openBoard(page);
  await page.waitForSelector(`#paper[data-strokes="${count}"]`);
}

async function openBoard(page) {
  if (await page.isVisible('#board')) return;
  await page.click('#show-board');
  await page.waitForSelector('#paper[data-strokes]');
}
