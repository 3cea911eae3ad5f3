// The conformance server for the tests, and a road to it that can be cut.

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

/**
 * Builds and starts the conformance server on a free port.
 *
 * @returns {Promise<{port: number, stop: () => Promise<void>}>}
 */
export async function startServer() {
  const dir = await mkdtemp(join(tmpdir(), 'signalbox-socketio-'));
  const binary = join(dir, 'conformance');
  await promisify(execFile)('go', ['build', '-o', binary, './pkg/socketio/internal/conformance'], { cwd: ROOT });
  const child = spawn(binary, ['-addr', '127.0.0.1:0', '-ping-interval', '500ms', '-ping-timeout', '2s'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  const [line] = await once(createInterface(child.stdout), 'line');
  return {
    port: Number(line.split(':').at(-1)),
    async stop() {
      child.kill('SIGINT');
      await exited;
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/**
 * A way to the server whose connections can be cut, as a network can.
 *
 * @param {number} port
 */
export async function startRoad(port) {
  const sockets = new Set();
  let broken = false;
  const road = createServer((near) => {
    if (broken) {
      near.resetAndDestroy();
      return;
    }
    const far = connect(port, '127.0.0.1');
    for (const [socket, other] of [[near, far], [far, near]]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => {});
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
    }
  });
  road.listen(0, '127.0.0.1');
  await once(road, 'listening');
  return {
    port: road.address().port,
    /** Cuts what goes by it, and lets nothing new pass until it is mended. */
    cut() {
      broken = true;
      for (const socket of sockets) socket.resetAndDestroy();
    },
    mend() {
      broken = false;
    },
    stop() {
      road.close();
      this.cut();
    },
  };
}
