// Calls of two people whose networks have no way to each other, through the relay alone: by UDP, where UDP does not get out by TCP, and where
// nothing but one port for TLS is open, by that.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { chromium } from 'playwright-core';

import { people, plays, receives, sees } from '../browser.js';
import { end, ROOT, start } from '../../process.js';
import { HUB, startNetworks, whyNot } from './network.js';

const run = promisify(execFile);
const skip = await whyNot();

/** @type {Awaited<ReturnType<typeof startNetworks>>} */
let networks;
const processes = [];
const browsers = {};

/** Starts a program in the hub, and waits until it says that it is there. */
async function inHub(program, args, ready) {
  const child = start('ip', [...networks.prefix('hub'), program, ...args]);
  processes.push(child.child);
  await child.line(ready);
  return child;
}

before(async () => {
  if (skip) return;
  networks = await startNetworks();
  const { dir } = networks;
  for (const service of ['gateway', 'relay']) {
    await run('go', ['build', '-o', join(dir, service), `./services/${service}`], { cwd: ROOT });
  }
  const { key, cert, pin } = await networks.certificate();
  await inHub('redis-server', ['--port', '6379', '--bind', '127.0.0.1', '--dir', dir, '--save', '', '--appendonly', 'no'], /Ready to accept connections/);
  const secret = randomBytes(24).toString('hex');
  const relay = join(dir, 'relay.yaml');
  await writeFile(relay, JSON.stringify({
    listen: { udp: [`${HUB}:3478`], tcp: [`${HUB}:3478`], tls: [`${HUB}:5349`], operations: '127.0.0.1:9091' },
    tls: { cert_file: cert, key_file: key },
    relay: { external_ip: [HUB], urls: ['udp', 'tcp'].map((t) => `turn:${HUB}:3478?transport=${t}`).concat(`turns:${HUB}:5349?transport=tcp`) },
    credentials: { secrets: [secret] },
    peers: { allow: [`${HUB}/32`] }, // the network for tests is no public one
    announce: { enabled: true },
    redis: { addresses: ['127.0.0.1:6379'] },
  }));
  await inHub(join(dir, 'relay'), ['--config', relay], /"msg":"ready"|ready/);
  const gateway = join(dir, 'gateway.yaml');
  await writeFile(gateway, JSON.stringify({
    listen: { public: `${HUB}:8080`, operations: '127.0.0.1:9090', cluster: '127.0.0.1:0' },
    redis: { addresses: ['127.0.0.1:6379'] },
    demo: { enabled: true }, pages: { enabled: true },
    ice: { relays: { enabled: true, secrets: [secret] } },
  }));
  await inHub(join(dir, 'gateway'), ['--config', gateway], /"msg":"ready"|ready/);
  for (const who of ['ada', 'bob']) {
    browsers[who] = await chromium.launch({
      executablePath: await networks.wrap(who, process.env.SIGNALBOX_CHROMIUM || '/usr/bin/chromium'),
      args: [
        '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
        '--autoplay-policy=no-user-gesture-required', `--unsafely-treat-insecure-origin-as-secure=http://${HUB}:8080`,
        `--ignore-certificate-errors-spki-list=${pin}`, // of the relay's certificate alone, which no authority has signed
      ],
    });
  }
});
after(async () => {
  for (const browser of Object.values(browsers)) await browser.close();
  for (const child of processes.reverse()) await end(child);
  await networks?.stop();
});

/** The sum of a metric's series, of the gateway (9090) or the relay (9091), whose labels match. */
async function metric(port, name, labels = '') {
  const { stdout } = await networks.inside('hub', 'curl', '-s', `http://127.0.0.1:${port}/metrics`);
  return stdout.split('\n').filter((line) => line.startsWith(name) && line.includes(labels)).reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

/** The pair of candidates that a page's connection uses. Runs in the page. */
async function selected() {
  const stats = await window.peerConnections.at(-1).getStats();
  const transport = [...stats.values()].find(({ type }) => type === 'transport');
  const pair = stats.get(transport.selectedCandidatePairId);
  const [local, remote] = [stats.get(pair.localCandidateId), stats.get(pair.remoteCandidateId)];
  return { local: local.candidateType, remote: remote.candidateType, protocol: local.relayProtocol };
}

test('their networks have no way to each other', { skip }, async () => {
  for (const who of ['ada', 'bob']) {
    assert.equal(await networks.reaches(who, HUB, 8080), true);
    assert.equal(await networks.reaches(who, HUB, 9), true); // where nothing listens
  }
  assert.equal(await networks.reaches('ada', '10.231.1.2', 9), false);
  assert.equal(await networks.reaches('bob', '10.231.0.2', 9), false);
  await networks.wall('ada', 'tcp dport 3478');
  assert.equal(await networks.reaches('ada', HUB, 3478), false);
});

for (const [protocol, dropped] of [
  ['udp', []],
  ['tcp', ['meta l4proto udp']],
  ['tls', ['meta l4proto udp', 'tcp dport 3478']],
]) {
  test(`they are in a call by ${protocol}`, { skip, timeout: 120_000 }, async () => {
    const pages = [];
    const everybody = [];
    const connected = () => metric(9090, 'signalbox_ice_reports_total', 'outcome="connected"');
    const [reports, bytes] = [await connected(), await metric(9091, 'signalbox_relay_bytes_total')];
    for (const [who, name] of [['ada', 'Ada'], ['bob', 'Bob']]) {
      await networks.wall(who, ...dropped);
      const all = people(browsers[who]);
      everybody.push(all);
      const page = await all.open(name, `http://${HUB}:8080/call.html?room=nat-${protocol}&media=generated`);
      await page.fill('#name', name);
      await page.click('#join');
      await page.waitForSelector('#stage:not([hidden])');
      pages.push(page);
    }
    for (const page of pages) {
      await sees(page, '#connection', 'connected');
      await plays(page, '#remote-video');
      await receives(page);
      assert.deepEqual(await page.evaluate(selected), { local: 'relay', remote: 'relay', protocol });
    }
    const deadline = Date.now() + 10_000;
    while ((await connected()) < reports + 2 && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(await connected(), reports + 2, 'the gateway was told by both');
    assert.ok((await metric(9090, 'signalbox_ice_reports_total', 'local="relay"')) >= 2);
    assert.ok((await metric(9091, 'signalbox_relay_bytes_total')) > bytes + 10_000, 'the relay carried it');
    assert.ok((await metric(9091, 'signalbox_relay_allocations{')) + (await metric(9091, 'signalbox_relay_allocations ')) >= 2);
    for (const all of everybody) {
      all.assertNoTrouble();
      await all.close();
    }
  });
}
