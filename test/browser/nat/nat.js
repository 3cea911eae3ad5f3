// Calls of two people whose networks have no way to each other, through the relay alone: where UDP gets out by UDP, where it does not by TCP, and
// by TLS where that is the relay's only port that is open.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { chromium } from 'playwright-core';

import { holds, people, plays, sees } from '../browser.js';
import { end, ROOT, start } from '../../process.js';
import { HUB, startNetworks, WAYS, whyNot } from './network.js';

const run = promisify(execFile);

/** The ports of the metrics, on the hub's loopback address. */
const [GATEWAY, RELAY] = [9090, 9091];

/** What signaling, and the page with it, go by in every network. */
const SIGNALING = 'tcp dport 8080';

/** The relay's URL for TLS. */
const TURNS = `turns:${HUB}:${WAYS.tls}?transport=tcp`;

const skip = await whyNot();

/** @type {Awaited<ReturnType<typeof startNetworks>>} */
let networks;
const processes = [];
const browsers = {};
const secret = randomBytes(24).toString('hex');

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
  const relay = join(dir, 'relay.yaml');
  await writeFile(relay, JSON.stringify({
    listen: { udp: [`${HUB}:${WAYS.udp}`], tcp: [`${HUB}:${WAYS.tcp}`], tls: [`${HUB}:${WAYS.tls}`], operations: `127.0.0.1:${RELAY}` },
    tls: { cert_file: cert, key_file: key },
    relay: { external_ip: [HUB], urls: ['udp', 'tcp'].map((transport) => `turn:${HUB}:${WAYS[transport]}?transport=${transport}`).concat(TURNS) },
    credentials: { secrets: [secret] },
    peers: { allow: [`${HUB}/32`] }, // the network for tests is no public one
    announce: { enabled: true },
    redis: { addresses: ['127.0.0.1:6379'] },
  }));
  await inHub(join(dir, 'relay'), ['--config', relay], /"msg":"ready"|ready/);
  const gateway = join(dir, 'gateway.yaml');
  await writeFile(gateway, JSON.stringify({
    listen: { public: `${HUB}:8080`, operations: `127.0.0.1:${GATEWAY}`, cluster: '127.0.0.1:0' },
    redis: { addresses: ['127.0.0.1:6379'] },
    demo: { enabled: true }, pages: { enabled: true },
    ice: { relays: { enabled: true, secrets: [secret] } },
  }));
  await inHub(join(dir, 'gateway'), ['--config', gateway], /"msg":"ready"|ready/);
  // Of the relay's certificate alone, which no authority has signed: what a browser does for one that an authority has.
  const trust = `--ignore-certificate-errors-spki-list=${pin}`;
  browsers.ada = await launch('ada', trust);
  browsers.bob = await launch('bob', trust);
  browsers.doubter = await launch('ada');
});
after(async () => {
  try {
    for (const browser of Object.values(browsers)) await browser.close();
    for (const child of processes.reverse()) await end(child);
  } finally {
    networks?.stop();
  }
});

/** A browser in a person's network. */
async function launch(who, ...args) {
  return chromium.launch({
    executablePath: await networks.wrap(who, process.env.SIGNALBOX_CHROMIUM || '/usr/bin/chromium'),
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update',
      '--disable-sync', '--autoplay-policy=no-user-gesture-required',
      `--unsafely-treat-insecure-origin-as-secure=http://${HUB}:8080`, ...args,
    ],
  });
}

/** The sum of a metric's series that have all of the labels, of the gateway or the relay. */
async function metric(port, name, ...labels) {
  const { stdout } = await networks.inside('hub', 'curl', '-sf', `http://127.0.0.1:${port}/metrics`);
  const series = stdout.split('\n').filter((line) => line.startsWith(`${name}{`) && labels.every((label) => line.includes(label)));
  return series.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

/** What the gateway and the relay have counted of calls by a transport, and of calls at all. */
async function counted(transport) {
  const by = `transport="${transport}"`;
  const connected = ['signalbox_ice_reports_total', 'outcome="connected"'];
  return {
    reports: await metric(GATEWAY, ...connected),
    byTransport: await metric(GATEWAY, ...connected, 'local="relay"', 'remote="relay"', `protocol="${transport}"`),
    allAllocated: await metric(RELAY, 'signalbox_relay_allocations_total'),
    allocated: await metric(RELAY, 'signalbox_relay_allocations_total', by),
    toClients: await metric(RELAY, 'signalbox_relay_bytes_total', by, 'direction="to_client"'),
    toPeers: await metric(RELAY, 'signalbox_relay_bytes_total', by, 'direction="to_peer"'),
  };
}

/** Which ways to the relay a person has. */
async function ways(who) {
  return {
    udp: await networks.isAnswered(who),
    tcp: await networks.reaches(who, HUB, WAYS.tcp),
    tls: await networks.reaches(who, HUB, WAYS.tls),
  };
}

/** The packets of sound and picture that a page's connection has got. Runs in the page. */
async function packets() {
  const stats = [...(await window.peerConnections.at(-1).getStats()).values()].filter(({ type }) => type === 'inbound-rtp');
  const of = (wanted) => stats.filter(({ kind }) => kind === wanted).reduce((sum, { packetsReceived }) => sum + packetsReceived, 0);
  return { audio: of('audio'), video: of('video') };
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
});

for (const [transport, open] of [
  ['udp', `udp dport ${WAYS.udp}`],
  ['tcp', `tcp dport ${WAYS.tcp}`],
  ['tls', `tcp dport ${WAYS.tls}`],
]) {
  test(`they are in a call by ${transport}, where nothing else gets to the relay`, { skip, timeout: 120_000 }, async () => {
    const before = await counted(transport);
    const pages = [];
    const everybody = [];
    for (const [who, name] of [['ada', 'Ada'], ['bob', 'Bob']]) {
      await networks.wall(who, SIGNALING, open);
      assert.deepEqual(await ways(who), { udp: false, tcp: false, tls: false, [transport]: true });
      const all = people(browsers[who]);
      everybody.push(all);
      const page = await all.open(name, `http://${HUB}:8080/call.html?room=nat-${transport}&media=generated`);
      await page.fill('#name', name);
      await page.click('#join');
      await page.waitForSelector('#stage:not([hidden])');
      pages.push(page);
    }
    for (const page of pages) {
      await sees(page, '#connection', 'connected');
      await plays(page, '#remote-video');
      const first = await page.evaluate(packets);
      await holds(async () => {
        const { audio, video } = await page.evaluate(packets);
        return audio > first.audio && video > first.video;
      }, 'the packets of sound and picture do not rise');
      assert.deepEqual(await page.evaluate(selected), { local: 'relay', remote: 'relay', protocol: transport });
    }
    assert.ok((await metric(RELAY, 'signalbox_relay_allocations', `transport="${transport}"`)) >= 2, 'there is an allocation of each');
    await holds(async () => (await counted(transport)).reports >= before.reports + 2, 'the gateway was not told by both');
    const now = await counted(transport);
    assert.equal(now.reports, before.reports + 2, 'the gateway was told once by both');
    assert.equal(now.byTransport, before.byTransport + 2, 'and of this way');
    assert.ok(now.allocated >= before.allocated + 2, 'the relay allocated for both');
    assert.equal(now.allAllocated - before.allAllocated, now.allocated - before.allocated, 'and by no other way');
    assert.ok(now.toClients > before.toClients + 10_000, 'the relay carried it to them');
    assert.ok(now.toPeers > before.toPeers + 10_000, 'and from them');
    for (const all of everybody) {
      all.assertNoTrouble();
      await all.close();
    }
  });
}

/** The relay's candidates that a browser gets from a server alone, and the errors. Runs in the page. */
async function gather(server) {
  const connection = new RTCPeerConnection({ iceServers: [server], iceTransportPolicy: 'relay' });
  const result = { candidates: 0, errors: [] };
  connection.onicecandidateerror = ({ errorCode }) => result.errors.push(errorCode);
  const done = new Promise((resolve) => {
    connection.onicecandidate = ({ candidate }) => (candidate?.candidate ? (result.candidates += 1) : resolve());
  });
  connection.createDataChannel('test');
  await connection.setLocalDescription();
  await done;
  connection.close();
  return result;
}

test('TLS is no way for a browser that does not trust the relay\'s certificate', { skip, timeout: 60_000 }, async () => {
  await networks.wall('ada', SIGNALING, `tcp dport ${WAYS.tls}`);
  const username = `${Math.floor(Date.now() / 1000) + 600}:ada`;
  const server = { urls: TURNS, username, credential: createHmac('sha1', secret).update(username).digest('base64') };
  const results = {};
  for (const who of ['ada', 'doubter']) {
    const all = people(browsers[who]);
    const page = await all.open(who, `http://${HUB}:8080/call.html?media=generated`);
    results[who] = await page.evaluate(gather, server);
    await all.close();
  }
  assert.deepEqual(results.ada, { candidates: 1, errors: [] });
  assert.equal(results.doubter.candidates, 0);
  assert.deepEqual([...new Set(results.doubter.errors)], [701]); // the server was not reached (W3C WebRTC, section 4.8.3)
});
