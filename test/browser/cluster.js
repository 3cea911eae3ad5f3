// A cluster for the tests: a real redis-server and the real gateways, ended with the test.

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** How long a process may take to say that it is ready, in milliseconds. */
const START = 60_000;

/**
 * Starts redis-server and all-in-one, which is built first unless SIGNALBOX_ALL_IN_ONE names a binary.
 *
 * @returns {Promise<{gateways: {name: string, url: string}[], stop: () => Promise<void>}>}
 */
export async function startCluster() {
  const dir = await mkdtemp(join(tmpdir(), 'signalbox-browser-'));
  const processes = [];
  const stop = async () => {
    for (const child of processes.reverse()) await end(child);
    await rm(dir, { recursive: true, force: true });
  };
  try {
    const port = await freePort();
    const redis = start('redis-server', ['--port', String(port), '--bind', '127.0.0.1', '--dir', dir, '--save', '', '--appendonly', 'no']);
    processes.push(redis.child);
    await redis.line(/Ready to accept connections/);

    const binary = process.env.SIGNALBOX_ALL_IN_ONE || join(dir, 'all-in-one');
    if (!process.env.SIGNALBOX_ALL_IN_ONE) {
      await promisify(execFile)('go', ['build', '-o', binary, './services/all-in-one'], { cwd: ROOT });
    }
    const cluster = start(binary, ['--redis', `redis://127.0.0.1:${port}`, '--host', '127.0.0.1', '--ports', '0,0']);
    processes.push(cluster.child);
    const gateways = [];
    while (gateways.length < 2) {
      const [, name, url] = await cluster.line(/(gateway-\d+).*?(http:\/\/[^\s/]+)/);
      gateways.push({ name, url });
    }
    return { gateways, stop };
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
  const target = new URL(url);
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
    stop: async () => {
      cut();
      server.close();
      await once(server, 'close');
    },
  };
}

/** A child process and a way to wait for lines of its output. */
function start(command, args) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const lines = [];
  const waiting = new Set();
  let failure;
  const look = () => waiting.forEach((check) => check());
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line);
      look();
    });
  }
  child.on('error', (error) => {
    failure = error;
    look();
  });
  child.on('exit', (code, signal) => {
    failure ??= new Error(`${command} ended (${code ?? signal})`);
    look();
  });
  let read = 0;
  return {
    child,
    /** The next line that matches. */
    line: (pattern) => new Promise((resolve, reject) => {
      const done = (settle, value) => {
        clearTimeout(timer);
        waiting.delete(check);
        settle(value);
      };
      const check = () => {
        while (read < lines.length) {
          const match = pattern.exec(lines[read++]);
          if (match) return done(resolve, match);
        }
        if (failure) done(reject, new Error(`${failure.message} before it said ${pattern}\n${lines.join('\n')}`));
      };
      const timer = setTimeout(() => done(reject, new Error(`${command} did not say ${pattern}\n${lines.join('\n')}`)), START);
      waiting.add(check);
      check();
    }),
  };
}

async function end(child) {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
  await exited;
  clearTimeout(timer);
}

async function freePort() {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
