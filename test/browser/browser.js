// A browser for the tests, and what a test asks of its pages.

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

/** How long a condition may take to hold, in milliseconds. */
const PATIENCE = 30_000;

const ARGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update',
  '--disable-sync', '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', '--autoplay-policy=no-user-gesture-required',
  // Two pages of one machine meet on the loopback address, which names of mDNS would hide.
  '--disable-features=WebRtcHideLocalIpsWithMdns', '--allow-loopback-in-peer-connection',
];

/** Debian's Chromium, or what SIGNALBOX_CHROMIUM names. */
export function launch() {
  return chromium.launch({ executablePath: process.env.SIGNALBOX_CHROMIUM || '/usr/bin/chromium', args: ARGS });
}

/**
 * Pages that notice whatever goes wrong in them. Each is a person of her own, in a browser context of her own.
 *
 * @param {import('playwright-core').Browser} browser
 */
export function people(browser) {
  /** @type {{who: string, what: string}[]} */
  const troubles = [];
  const contexts = [];
  return {
    /**
     * @param {string} who
     * @param {string} url
     * @param {import('playwright-core').BrowserContextOptions & {frames?: number}} [options] frames: how many a second a generated picture has,
     *   which is less than the pages' own: all of them are encoded, sent and shown by one machine
     */
    async open(who, url, { frames = 10, ...options } = {}) {
      const context = await browser.newContext(options);
      contexts.push(context);
      context.setDefaultTimeout(PATIENCE);
      await context.addInitScript(watch);
      await context.addInitScript(slow, frames);
      const page = await context.newPage();
      page.on('console', (message) => {
        if (message.type() === 'error' || message.type() === 'warning') troubles.push({ who, what: message.text() });
      });
      page.on('pageerror', (error) => troubles.push({ who, what: String(error) }));
      page.on('requestfailed', (request) => {
        const why = request.failure()?.errorText;
        // Who leaves a page ends its requests.
        if (why !== 'net::ERR_ABORTED') troubles.push({ who, what: `${request.url()}: ${why}` });
      });
      page.on('response', (response) => {
        if (response.status() >= 400) troubles.push({ who, what: `${response.url()}: ${response.status()}` });
      });
      await page.goto(url);
      return page;
    },
    /** @param {RegExp} [expected] what may be said, for example of a connection that the test cut */
    assertNoTrouble(expected) {
      assert.deepEqual(troubles.filter(({ what }) => !expected?.test(what)), []);
    },
    async close() {
      for (const context of contexts) await context.close();
    },
  };
}

/** In the page: keeps its peer connections, counts the offers that they roll back, and says aloud what the content security policy stopped. */
function watch() {
  addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) => {
    console.error(`security policy: ${violatedDirective} stopped ${blockedURI}`);
  });
  const Real = window.RTCPeerConnection;
  window.peerConnections = [];
  window.rollbacks = 0;
  window.RTCPeerConnection = class extends Real {
    constructor(...args) {
      super(...args);
      window.peerConnections.push(this);
    }

    setRemoteDescription(description) {
      if (description.type === 'offer' && this.signalingState === 'have-local-offer') window.rollbacks += 1;
      return super.setRemoteDescription(description);
    }
  };
}

/**
 * Waits until an element's text is, or matches, what is wanted.
 *
 * @param {import('playwright-core').Page} page
 * @param {string} selector
 * @param {string | RegExp} text
 */
export async function sees(page, selector, text) {
  const [source, flags] = text instanceof RegExp ? [text.source, text.flags] : [`^\\s*${text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}\\s*$`, ''];
  try {
    await page.waitForFunction(
      ([selector, source, flags]) => [...document.querySelectorAll(selector)].some((element) => element.checkVisibility() && new RegExp(source, flags).test(element.textContent)),
      [selector, source, flags],
    );
  } catch (error) {
    const now = await page.locator(selector).allTextContents();
    throw new Error(`${selector} never said ${text}; it says ${JSON.stringify(now)}`, { cause: error });
  }
}

/** @param {number} frames */
function slow(frames) {
  const { captureStream } = HTMLCanvasElement.prototype;
  HTMLCanvasElement.prototype.captureStream = function captureFewer() {
    return captureStream.call(this, frames);
  };
}

/**
 * Waits until a video shows some more frames.
 *
 * @param {import('playwright-core').Page} page
 * @param {string} selector
 */
export async function plays(page, selector) {
  await page.waitForFunction((selector) => document.querySelector(selector)?.srcObject, selector);
  const frames = page.locator(selector).evaluate(
    (video) => new Promise((resolve) => {
      let left = 10;
      const first = performance.now();
      const count = () => (--left > 0 ? video.requestVideoFrameCallback(count) : resolve(performance.now() - first));
      video.requestVideoFrameCallback(count);
    }),
  );
  await inTime(frames, `${selector} does not play`);
}

/**
 * Waits until a page's newest peer connection is connected and has got some more bytes.
 *
 * @param {import('playwright-core').Page} page
 */
export async function receives(page) {
  const bytes = () => page.evaluate(async () => {
    const pc = window.peerConnections.at(-1);
    if (pc?.connectionState !== 'connected') return 0;
    return [...(await pc.getStats()).values()].filter(({ type }) => type === 'inbound-rtp').reduce((sum, { bytesReceived }) => sum + bytesReceived, 0);
  });
  const first = await holds(bytes, 'no connection that receives anything');
  await holds(async () => (await bytes()) > first, 'the bytes received do not rise');
}

/**
 * Waits until a condition in this process holds, and gives its value.
 *
 * @template T
 * @param {() => Promise<T> | T} condition
 * @param {string} what
 */
export async function holds(condition, what) {
  const deadline = performance.now() + PATIENCE;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (performance.now() > deadline) throw new Error(`waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function inTime(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(what)), PATIENCE);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/**
 * Where pictures of the pages go: SIGNALBOX_SCREENSHOTS, or a directory that is removed afterwards.
 *
 * @returns {Promise<{shoot: (page: import('playwright-core').Page, name: string) => Promise<void>, remove: () => Promise<void>}>}
 */
export async function album() {
  const kept = process.env.SIGNALBOX_SCREENSHOTS;
  const dir = kept || (await mkdtemp(join(tmpdir(), 'signalbox-pictures-')));
  await mkdir(dir, { recursive: true });
  return {
    shoot: async (page, name) => {
      const picture = await page.screenshot({ path: join(dir, `${name}.png`), animations: 'disabled' });
      assert.ok(picture.length > 5_000, `${name} is blank`);
    },
    remove: async () => {
      if (!kept) await rm(dir, { recursive: true, force: true });
    },
  };
}

/**
 * A picture of pages side by side, each in the frame of a browser with its address, as the docs have them.
 *
 * @param {import('playwright-core').Browser} browser
 * @param {{page: import('playwright-core').Page, caption: string}[]} windows
 * @param {string} [path] where it goes; nowhere if it is left out
 */
export async function sideBySide(browser, windows, path) {
  const shots = [];
  for (const { page, caption } of windows) {
    const picture = await page.screenshot({ animations: 'disabled' });
    shots.push(`<figure><figcaption><i></i><i></i><i></i>${caption}</figcaption><img src="data:image/png;base64,${picture.toString('base64')}"></figure>`);
  }
  const table = await browser.newPage({ viewport: { width: 1600, height: 900 } });
  try {
    await table.setContent(`<style>
      body { display: inline-flex; gap: 24px; margin: 0; padding: 24px; background: #d9dee5; font: 14px sans-serif; color: #333 }
      figure { margin: 0; overflow: hidden; border-radius: 10px; box-shadow: 0 6px 24px #0004; background: #f3f4f6 }
      figcaption { display: flex; gap: 7px; align-items: center; padding: 9px 12px }
      i { width: 11px; height: 11px; border-radius: 50%; background: #b9c0ca } i:nth-of-type(3) { margin-right: 8px }
      img { display: block }
    </style>${shots.join('')}`);
    const picture = await table.locator('body').screenshot({ path });
    assert.ok(picture.length > 20_000, 'the picture is blank');
  } finally {
    await table.close();
  }
}
