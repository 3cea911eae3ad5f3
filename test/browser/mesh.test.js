// Six people in one room, through two gateways: media, a shared screen, data channels and statistics between all of them.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, people } from './browser.js';
import { startCluster } from './cluster.js';

const SEATS = 6;

let cluster;
let browser;
let all;

before(async () => {
  cluster = await startCluster();
  browser = await launch();
  all = people(browser);
});
after(async () => {
  await all?.close();
  await browser?.close();
  await cluster?.stop();
});

/** In a page: some people take their seats, each with a small picture of her own. */
async function arrive([names, seats]) {
  const { Call, Signalbox } = await import('/sdk/index.js');
  const picture = () => {
    const canvas = Object.assign(document.createElement('canvas'), { width: 64, height: 48 });
    const context = canvas.getContext('2d');
    let turn = 0;
    setInterval(() => {
      context.fillStyle = `hsl(${(turn += 20)} 80% 50%)`;
      context.fillRect(0, 0, 64, 48);
    }, 100);
    return canvas.captureStream(10);
  };
  window.meeting = { people: [], picture, holds: async (what, condition) => {
    for (const deadline = performance.now() + 60_000; !(await condition());) {
      if (performance.now() > deadline) throw new Error(`waited in vain: ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  } };
  for (const name of names) {
    const client = new Signalbox(location.origin, { app: 'demo', name });
    await client.connect();
    const room = await client.join('mesh', { capacity: seats });
    const call = new Call(client, room, { stream: picture(), uplink: 1_000_000 });
    const person = { name, client, room, call, tracks: [], removed: [], messages: [], errors: [], files: call.channel('files') };
    call.addEventListener('track', ({ detail }) => person.tracks.push(detail));
    call.addEventListener('track-removed', ({ detail }) => person.removed.push(detail));
    call.addEventListener('error', ({ detail }) => person.errors.push(String(detail.error)));
    person.files.addEventListener('message', ({ detail }) => person.messages.push(`${detail.peer.name}: ${detail.data.byteLength ?? detail.data}`));
    window.meeting.people.push(person);
  }
}

/** In a page: everybody is connected to all the others, and gets a picture of each. */
async function meet(seats) {
  const { people, holds } = window.meeting;
  for (const { name, call, tracks, files } of people) {
    await holds(`${name} is connected`, () => [...call.connections.values()].filter(({ state }) => state === 'connected').length === seats - 1);
    await holds(`${name} can send`, () => files.open.length === seats - 1);
    await holds(`${name} gets pictures`, async () => {
      const stats = await Promise.all([...call.connections.values()].map(async ({ pc }) => [...(await pc.getStats()).values()]));
      return stats.every((all) => all.some(({ type, framesDecoded }) => type === 'inbound-rtp' && framesDecoded > 2));
    });
    if (tracks.some(({ purpose }) => purpose !== 'camera')) throw new Error('who shares a screen?');
  }
}

test(`${SEATS} people see, hear and measure each other`, { timeout: 180_000 }, async () => {
  const pages = [];
  for (const [n, names] of [['Ada', 'Bob', 'Cleo'], ['Dan', 'Eve', 'Finn']].entries()) {
    pages.push(await all.open(names.join(), `${cluster.gateways[n].url}/index.html`));
    await pages[n].evaluate(arrive, [names, SEATS]);
  }
  await Promise.all(pages.map((page) => page.evaluate(meet, SEATS)));

  // A second stream says what it is for, and is gone when it is over.
  await pages[0].evaluate(() => {
    const [ada] = window.meeting.people;
    ada.screen = window.meeting.picture();
    ada.call.addStream(ada.screen);
  });
  const screens = (key, count) => pages.map((page) => page.evaluate(async ([key, count]) => {
    const { people, holds } = window.meeting;
    for (const person of people.filter(({ name }) => name !== 'Ada')) {
      await holds(`${person.name}: ${key} of the screen`, () => person[key].filter(({ purpose, peer }) => purpose === 'screen' && peer.name === 'Ada').length === count);
    }
  }, [key, count]));
  await Promise.all(screens('tracks', 1));
  await pages[0].evaluate(() => window.meeting.people[0].call.removeStream(window.meeting.people[0].screen));
  await Promise.all(screens('removed', 1));

  // What is more than a buffer holds is sent as fast as the slowest takes it.
  const reached = await pages[0].evaluate(async () => {
    const { files } = window.meeting.people[0];
    const reached = [];
    for (let n = 0; n < 40; n += 1) reached.push(await files.send(new Uint8Array(64 * 1024)));
    return [...new Set([...reached, await files.send('over')])];
  });
  assert.deepEqual(reached, [SEATS - 1]);
  await Promise.all(pages.map((page) => page.evaluate(async () => {
    const { people, holds } = window.meeting;
    for (const { name, messages } of people.filter(({ name }) => name !== 'Ada')) {
      await holds(`${name} gets all`, () => messages.at(-1) === 'Ada: over');
      if (messages.filter((message) => message === 'Ada: 65536').length !== 40) throw new Error(`${name} got ${messages.length} messages`);
    }
  })));

  // Another camera takes the place of the first without a new negotiation; what was sent is told by the statistics.
  const measured = await pages[0].evaluate(async () => {
    const { people: [{ call }], picture } = window.meeting;
    const sdp = () => [...call.connections.values()].map(({ pc }) => pc.localDescription.sdp.match(/^o=.*$/m)[0]).join();
    const [before] = [sdp(), await call.stats()];
    await call.setStream(picture());
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const stats = [...(await call.stats()).values()];
    const [connection] = call.connections.values();
    const limits = connection.pc.getSenders().filter(({ track }) => track?.kind === 'video').map((sender) => sender.getParameters().encodings[0].maxBitrate);
    return { stats, negotiated: sdp() !== before, limits };
  });
  assert.equal(measured.stats.length, SEATS - 1);
  for (const { rtt, sent, received, local, remote, protocol, quality } of measured.stats) {
    assert.ok(rtt >= 0 && sent > 0 && received > 0, JSON.stringify(measured.stats));
    assert.deepEqual([local, remote, protocol].map((word) => typeof word), ['string', 'string', 'string']);
    assert.ok(quality >= 1 && quality <= 4);
  }
  assert.equal(measured.negotiated, false);
  assert.deepEqual(measured.limits, [1_000_000 / (SEATS - 1)]);

  // Who leaves is gone for all; nothing went wrong.
  await pages[1].evaluate(() => window.meeting.people[2].client.close());
  const troubles = await Promise.all(pages.map((page) => page.evaluate(async () => {
    const { people, holds } = window.meeting;
    for (const { name, call } of people.filter(({ name }) => name !== 'Finn')) await holds(`${name} sees Finn go`, () => call.connections.size === 4);
    return people.flatMap(({ errors }) => errors);
  })));
  assert.deepEqual(troubles.flat(), []);
  all.assertNoTrouble();
});
