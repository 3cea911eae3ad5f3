// A cluster for the tests: a real redis-server and the real gateways, ended with the test.

import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { end, ROOT, start, startRedis } from '../process.js';

/**
 * Starts redis-server and all-in-one, which is built first unless SIGNALBOX_ALL_IN_ONE names a binary.
 *
 * @param {string[]} [flags] of all-in-one
 * @returns {Promise<{gateways: {name: string, url: string}[], console: string, key: string, another: () => Promise<{name: string, url: string, kill: () => void}>, stop: () => Promise<void>}>}
 */
export async function startCluster(flags = []) {
  const dir = await mkdtemp(join(tmpdir(), 'signalbox-browser-'));
  const processes = [];
  const stop = async () => {
    for (const child of processes.reverse()) await end(child);
    await rm(dir, { recursive: true, force: true });
  };
  try {
    const redis = await startRedis(dir);
    processes.push(redis.child);

    const binary = process.env.SIGNALBOX_ALL_IN_ONE || join(dir, 'all-in-one');
    if (!process.env.SIGNALBOX_ALL_IN_ONE) {
      await promisify(execFile)('go', ['build', '-o', binary, './services/all-in-one'], { cwd: ROOT });
    }
    const cluster = start(binary, ['--redis', redis.url, '--host', '127.0.0.1', '--ports', '0,0', ...flags]);
    processes.push(cluster.child);
    const gateways = [];
    while (gateways.length < 2) {
      const [, name, url] = await cluster.line(/(gateway-\d+).*?(http:\/\/[^\s/]+)/);
      gateways.push({ name, url });
    }
    /** Starts one more gateway, in a process of its own that can be killed. */
    const another = async () => {
      const { child, line } = start(binary, ['--redis', redis.url, '--host', '127.0.0.1', '--ports', '0']);
      processes.push(child);
      const [, name, url] = await line(/(gateway-\d+).*?(http:\/\/[^\s/]+)/);
      return { name, url, kill: () => child.kill('SIGKILL') };
    };
    const [, console] = await cluster.line(/(http:\/\/\S+\/console\/)/);
    const [, key] = await cluster.line(/with the key (\S+),/);
    return { gateways, console, key, another, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/**
 * A way to a gateway that can be cut and mended, as a network can.
 *
 * @param {string} url
 */
export async function startRoad(url) {
  let target = new URL(url);
  const sockets = new Set();
  let isCut = false;
  const server = createServer((socket) => {
    if (isCut) {
      socket.destroy();
      return;
    }
    const upstream = connect(Number(target.port), target.hostname);
    for (const [one, other] of [[socket, upstream], [upstream, socket]]) {
      sockets.add(one);
      one.pipe(other);
      one.on('error', () => {});
      one.on('close', () => {
        sockets.delete(one);
        other.destroy();
      });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = () => {
    isCut = true;
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    cut,
    mend: () => (isCut = false),
    /** Leads to another gateway from now on, as a load balancer does when one is gone. */
    turn: (other) => (target = new URL(other)),
    stop: async () => {
      cut();
      server.close();
      await once(server, 'close');
    },
  };
}
