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
    }, name);
  }
}
