// Processes for the tests: started, listened to and ended with the test.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** The repository. */
export const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** How long a process may take to say that it is ready, in milliseconds. */
const START = 60_000;

/**
 * A child process and a way to wait for lines of its output.
 *
 * @param {string} command
 * @param {string[]} args
 */
export function start(command, args) {
  // What is set for the tests, or for the developer's own cluster, is not for theirs.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('SIGNALBOX_')));
  const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
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
    /** What it has said so far. */
    lines,
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

/** Ends a child process, by force if it takes its time. */
export async function end(child) {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
  await exited;
  clearTimeout(timer);
}

/**
 * A redis-server that keeps nothing.
 *
 * @param {string} dir a folder of its own
 */
export async function startRedis(dir) {
  const port = await freePort();
  const redis = start('redis-server', ['--port', String(port), '--bind', '127.0.0.1', '--dir', dir, '--save', '', '--appendonly', 'no']);
  try {
    await redis.line(/Ready to accept connections/);
  } catch (error) {
    await end(redis.child);
    throw error;
  }
  return { child: redis.child, url: `redis://127.0.0.1:${port}` };
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
