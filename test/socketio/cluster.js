// A cluster for the tests: a real redis-server, gateways that are processes of their own, and the proxy in front of them.

import { execFile } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { end, ROOT, start, startRedis } from '../process.js';
import { startProxy } from './proxy.js';

/** The key of the app "acme", whose users come with a token. */
const KEY = { id: 'test', secret: 'a secret of the tests, of 32 bytes and more' };

/** A key for the server API. */
const API_KEY = 'a key of the tests, of 32 characters and more';

const CONFIG = `
demo: {enabled: true}
shutdown: {delay: 0s, window: 0s, grace: 0s}
api: {address: "127.0.0.1:0", keys: [{id: test, secret: "${API_KEY}", can: admin}]}
apps:
  - id: acme
    keys: [{id: ${KEY.id}, algorithm: HS256, secret: "${KEY.secret}"}]
    policies: [{rooms: "moderated-*", moderated: on}, {rooms: "next-*", succession: next}]
`;

/**
 * A token for a user of the app "acme", for all rooms.
 *
 * @param {string} user
 * @param {string[]} can
 * @param {number} seconds until it expires
 */
export function token(user, can, seconds = 600) {
  const claims = { app: 'acme', sub: user, name: user, exp: Math.floor(Date.now() / 1000) + seconds, rooms: [{ room: '*', can }] };
  const text = [{ alg: 'HS256', typ: 'JWT', kid: KEY.id }, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  return `${text}.${createHmac('sha256', KEY.secret).update(text).digest('base64url')}`;
}

/**
 * Starts a cluster. The gateway is built first unless SIGNALBOX_GATEWAY names a binary.
 *
 * @param {string[]} flags of the gateways
 * @param {string} more of their configuration, in YAML
 */
export async function startCluster(flags = [], more = '') {
  const dir = await mkdtemp(join(tmpdir(), 'signalbox-socketio-'));
  const children = [];
  const proxies = [];
  const stop = async () => {
    for (const proxy of proxies) await proxy.stop();
    for (const child of children.reverse()) await end(child);
    await rm(dir, { recursive: true, force: true });
  };
  try {
    const redis = await startRedis(dir);
    children.push(redis.child);
    const binary = process.env.SIGNALBOX_GATEWAY || join(dir, 'gateway');
    if (!process.env.SIGNALBOX_GATEWAY) {
      await promisify(execFile)('go', ['build', '-o', binary, './services/gateway'], { cwd: ROOT });
    }
    const [config, added] = ['gateway.yaml', 'more.yaml'].map((name) => join(dir, name));
    await writeFile(config, CONFIG);
    await writeFile(added, more);

    const gateways = await Promise.all(['gateway-1', 'gateway-2'].map(async (name) => {
      const gateway = start(binary, [
        '--config', `${config},${added}`, '--node.name', name, '--redis.url', redis.url,
        ...['public', 'operations', 'cluster'].map((listener) => `--listen.${listener}=127.0.0.1:0`), ...flags,
      ]);
      children.push(gateway.child);
      const { public: address, operations, api, node_id: node } = JSON.parse((await gateway.line(/.*"gateway is ready".*/))[0]);
      return {
        name,
        node,
        url: `http://${address}`,
        log: gateway.lines,
        /** Posts to the server API, with what belongs to the app "acme". */
        post: (path, body) => post(`http://${api}/v1/apps/acme${path}`, body),
        metrics: () => scrape(`http://${operations}/metrics`),
        /** Ends it as a power cut does. */
        async kill() {
          const exited = once(gateway.child, 'exit');
          gateway.child.kill('SIGKILL');
          await exited;
        },
      };
    }));

    /** One more way to the cluster. */
    const openProxy = async () => {
      const proxy = await startProxy(gateways.map(({ url }) => url));
      proxies.push(proxy);
      return proxy;
    };
    const proxy = await openProxy();
    return { gateways, proxy, url: proxy.url, openProxy, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function post(url, body) {
  const headers = { authorization: `Bearer ${API_KEY}`, 'content-type': 'application/json' };
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`);
  return response.json();
}

/** Reads a gateway's metrics, and gives a function for the sum of those with a name and, in their labels, a text. */
async function scrape(url) {
  const lines = (await (await fetch(url)).text()).split('\n');
  return (name, label = '') => lines.reduce((sum, line) => {
    const [, found, labels = '', value] = /^([a-z_]+)(\{.*\})? (\S+)$/.exec(line) ?? [];
    return found === name && labels.includes(label) ? sum + Number(value) : sum;
  }, 0);
}
