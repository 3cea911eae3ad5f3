// Two people with no way to each other, and a hub that both reach: three network namespaces, and a firewall in those of the people.

import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The hub's address for everybody, of the network for tests between networks (RFC 2544). */
export const HUB = '198.18.0.1';

/** Why there can be no such networks here, or nothing. */
export async function whyNot() {
  if (process.getuid?.() !== 0) return 'it needs root';
  for (const command of ['ip', 'nft', 'openssl', 'curl']) {
    try {
      await run('sh', ['-c', `command -v ${command}`]);
    } catch {
      return `it needs ${command}`;
    }
  }
  try {
    await run('ip', ['netns', 'add', `sb-${process.pid}-try`]);
    await run('ip', ['netns', 'del', `sb-${process.pid}-try`]);
  } catch (error) {
    return `there can be no network namespaces: ${error.message}`;
  }
}

/** Makes the networks. */
export async function startNetworks() {
  const dir = await mkdtemp(join(tmpdir(), 'signalbox-nat-'));
  const name = (who) => `sb-${process.pid}-${who}`;
  const made = [];
  const inside = (who, command, ...args) => run('ip', ['netns', 'exec', name(who), command, ...args]);
  const stop = async () => {
    for (const who of made.reverse()) await run('ip', ['netns', 'del', name(who)]); // the pairs go with them
    await rm(dir, { recursive: true, force: true });
  };
  const add = async (who) => {
    await run('ip', ['netns', 'add', name(who)]);
    made.push(who);
    await inside(who, 'ip', 'link', 'set', 'lo', 'up');
  };
  try {
    await add('hub');
    await inside('hub', 'ip', 'address', 'add', `${HUB}/32`, 'dev', 'lo');
    await inside('hub', 'sh', '-c', 'echo 0 >/proc/sys/net/ipv4/ip_forward'); // nothing goes from one person to the other
    for (const [i, who] of ['ada', 'bob'].entries()) {
      await add(who);
      const [near, far] = [`v${process.pid}${who[0]}`, `w${process.pid}${who[0]}`];
      await inside('hub', 'ip', 'link', 'add', near, 'type', 'veth', 'peer', 'name', far);
      await inside('hub', 'ip', 'link', 'set', far, 'netns', name(who));
      await inside('hub', 'ip', 'address', 'add', `10.231.${i}.1/24`, 'dev', near);
      await inside('hub', 'ip', 'link', 'set', near, 'up');
      await inside(who, 'ip', 'address', 'add', `10.231.${i}.2/24`, 'dev', far);
      await inside(who, 'ip', 'link', 'set', far, 'up');
      await inside(who, 'ip', 'route', 'add', 'default', 'via', `10.231.${i}.1`);
      await inside(who, 'nft', 'add table inet wall; add chain inet wall out { type filter hook output priority 0; }');
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    dir,
    stop,
    inside,
    /** What comes before a command, to have it run inside. */
    prefix: (who) => ['netns', 'exec', name(who)],
    /** A program that runs another one inside. */
    wrap: async (who, program) => {
      const path = join(dir, `${who}.sh`);
      await writeFile(path, `#!/bin/sh\nexec ip netns exec ${name(who)} ${program} "$@"\n`, { mode: 0o755 });
      return path;
    },
    /** Has a person's network let out everything but what matches some of nft's rules. */
    wall: async (who, ...dropped) => {
      await inside(who, 'nft', 'flush chain inet wall out');
      for (const rule of dropped) await inside(who, 'nft', `add rule inet wall out oifname != "lo" ${rule} drop`);
    },
    /** Whether a person reaches an address: something there takes a connection to a port, or says that there is nothing at it. */
    reaches: async (who, address, port) => {
      const { stdout } = await inside(who, process.execPath, '-e', `
        const socket = require('node:net').connect({ host: '${address}', port: ${port} });
        socket.setTimeout(1000, () => socket.destroy(new Error('silence')));
        socket.on('connect', () => socket.destroy()).on('error', () => {});
        let code = 'connected';
        socket.on('error', (error) => (code = error.code ?? error.message)).on('close', () => console.log(code));`);
      return ['connected', 'ECONNREFUSED'].includes(stdout.trim());
    },
    /** A certificate of the hub's, as files. */
    certificate: async () => {
      const [key, cert] = [join(dir, 'key.pem'), join(dir, 'cert.pem')];
      await run('openssl', [
        'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1', '-subj', '/CN=hub',
        '-addext', `subjectAltName=IP:${HUB}`, '-keyout', key, '-out', cert,
      ]);
      const { stdout } = await run('sh', ['-c', `openssl x509 -in "$0" -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64`, cert]);
      return { key, cert, pin: stdout.trim() };
    },
  };
}
