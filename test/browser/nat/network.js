// Two people with no way to each other, and a hub that both reach: three network namespaces, and a firewall between each of the people and the hub.

import { execFile, execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { mkdtemp, writeFile } from 'node:fs/promises';
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

/** The ways to the relay: the transports of its clients, and the ports of the hub. */
export const WAYS = { udp: 3478, tcp: 3478, tls: 5349 };

/** Makes the networks. They go with stop, and also where the process is interrupted or ends before. */
export async function startNetworks() {
  const dir = await mkdtemp(join(tmpdir(), 'signalbox-nat-'));
  const name = (who) => `sb-${process.pid}-${who}`;
  const made = [];
  const inside = (who, command, ...args) => run('ip', ['netns', 'exec', name(who), command, ...args]);
  // At once, as nothing is waited for when a process ends. What one step cannot remove keeps no other from being done.
  const remove = () => {
    const failures = [];
    const attempt = (step) => {
      try {
        return step();
      } catch (error) {
        failures.push(error);
      }
    };
    for (const who of made.splice(0).reverse()) {
      const pids = attempt(() => execFileSync('ip', ['netns', 'pids', name(who)], { encoding: 'utf8' })) ?? '';
      for (const pid of pids.split('\n').filter(Boolean)) {
        try {
          process.kill(Number(pid), 'SIGKILL');
        } catch {
          // It has ended by itself.
        }
      }
      attempt(() => execFileSync('ip', ['netns', 'del', name(who)])); // the pairs go with them
    }
    attempt(() => rmSync(dir, { recursive: true, force: true, maxRetries: 5 }));
    return failures;
  };
  const interrupted = () => process.exit(130);
  process.on('exit', remove);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, interrupted);
  const stop = () => {
    process.off('exit', remove);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.off(signal, interrupted);
    const failures = remove();
    if (failures.length > 0) throw new AggregateError(failures, `the networks were not removed: ${failures.map(String).join('; ')}`);
  };
  const add = async (who) => {
    await run('ip', ['netns', 'add', name(who)]);
    made.push(who);
    await inside(who, 'ip', 'link', 'set', 'lo', 'up');
  };
  const near = (who) => `v${process.pid}${who[0]}`;
  try {
    await add('hub');
    await inside('hub', 'ip', 'address', 'add', `${HUB}/32`, 'dev', 'lo');
    await inside('hub', 'sh', '-c', 'echo 0 >/proc/sys/net/ipv4/ip_forward'); // nothing goes from one person to the other
    await inside('hub', 'nft', 'add table inet wall');
    for (const [i, who] of ['ada', 'bob'].entries()) {
      await add(who);
      const far = `w${process.pid}${who[0]}`;
      await inside('hub', 'ip', 'link', 'add', near(who), 'type', 'veth', 'peer', 'name', far);
      await inside('hub', 'ip', 'link', 'set', far, 'netns', name(who));
      await inside('hub', 'ip', 'address', 'add', `10.231.${i}.1/24`, 'dev', near(who));
      await inside('hub', 'ip', 'link', 'set', near(who), 'up');
      await inside(who, 'ip', 'address', 'add', `10.231.${i}.2/24`, 'dev', far);
      await inside(who, 'ip', 'link', 'set', far, 'up');
      await inside(who, 'ip', 'route', 'add', 'default', 'via', `10.231.${i}.1`);
      await inside('hub', 'nft', `add chain inet wall ${who} { type filter hook input priority 0; }`);
    }
  } catch (error) {
    stop();
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
    /** Loses, without a word, all that a person's network sends but what matches some of nft's rules. */
    wall: async (who, ...passed) => {
      await inside('hub', 'nft', `flush chain inet wall ${who}`);
      for (const rule of passed) await inside('hub', 'nft', `add rule inet wall ${who} iifname ${near(who)} ${rule} accept`);
      await inside('hub', 'nft', `add rule inet wall ${who} iifname ${near(who)} drop`);
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
    /** Whether the relay answers a person's binding request (RFC 8489, section 5) over UDP. */
    isAnswered: async (who) => {
      const { stdout } = await inside(who, process.execPath, '-e', `
        const request = Buffer.concat([Buffer.from('000100002112a442', 'hex'), require('node:crypto').randomBytes(12)]);
        const socket = require('node:dgram').createSocket('udp4');
        const end = (what) => { clearInterval(again); clearTimeout(silence); socket.close(); console.log(what); };
        const again = setInterval(() => socket.send(request, ${WAYS.udp}, '${HUB}'), 100);
        const silence = setTimeout(end, 1000, 'silence');
        socket.on('message', (answer) => { if (answer.subarray(8, 20).equals(request.subarray(8))) end('answer'); });`);
      return stdout.trim() === 'answer';
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
