// Follows the docs as a newcomer does, and measures how long that takes: docs/newcomer.md.
//
//   node newcomer.js [readme] [quickstart]    all of it, or one; writes what it measured into the page

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { launch, plays, receives } from '../browser/browser.js';
import { ROOT } from '../process.js';

/** Where the docs say that the project is. */
const ORIGIN = 'https://github.com/signalbox-rtc/signalbox';

/** How long a command may take, in milliseconds: with cold caches and two cores, minutes. */
const PATIENCE = 20 * 60_000;

/** Ports of the gateways and of Vite, as in the docs. */
const PORTS = [8080, 8090, 5173];

/** A piece of a page between a heading and the next of the same weight. */
function section(page, heading) {
  const [, rest] = page.split(new RegExp(`^## .*${heading}.*$`, 'm'));
  assert.ok(rest, `there is no part "${heading}"`);
  return rest.split(/^## /m)[0];
}

/** The commands of a page's blocks, fenced or indented, one list a block. */
function blocks(text) {
  return [...text.matchAll(/^```sh\n(.*?)^```|^\n((?: {4}[^\n]*\n)+)/gms)]
    .map(([, fenced, indented]) => (fenced ?? indented).split('\n').map((line) => line.replace(/ #.*/, '').trim()).filter(Boolean));
}

/** A shell in a folder, which goes where `cd` goes. */
class Shell {
  #running = [];

  constructor(folder, env) {
    this.folder = folder;
    this.env = env;
  }

  /** Runs commands to their end. */
  async run(lines) {
    const where = join(this.env.HOME, 'where');
    const { child, said } = this.#start(['set -e', ...lines, `pwd >${where}`].join('\n'));
    const [code] = await once(child, 'exit');
    assert.equal(code, 0, `${lines.join('; ')}\n${said.join('\n')}`);
    this.folder = (await readFile(where, 'utf8')).trim();
  }

  /** Starts a command that stays, and waits until it has said something. */
  async stay(line, pattern, times = 1) {
    const { child, said, lines } = this.#start(`exec ${line}`);
    this.#running.push(child);
    const found = [];
    const timer = setTimeout(() => child.kill(), PATIENCE);
    for await (const text of lines) {
      const match = pattern.exec(text);
      if (match) found.push(match[0]);
      if (found.length === times) break;
    }
    clearTimeout(timer);
    assert.equal(found.length, times, `${line} did not say ${pattern}\n${said.join('\n')}`);
    return found;
  }

  async end() {
    for (const child of this.#running.splice(0)) {
      if (child.exitCode !== null) continue;
      process.kill(-child.pid, 'SIGTERM'); // make and npm have children of their own
      await once(child, 'exit');
    }
    for (const port of PORTS) await free(port, 10_000);
  }

  #start(script) {
    const child = spawn('bash', ['-c', script], { cwd: this.folder, env: this.env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    const said = [];
    createInterface({ input: child.stderr }).on('line', (line) => said.push(line));
    const lines = createInterface({ input: child.stdout });
    lines.on('line', (line) => said.push(line));
    child.stdout.on('end', () => lines.close());
    return { child, said, lines };
  }
}

/** Waits until nobody listens on a port. */
async function free(port, patience) {
  for (const deadline = performance.now() + patience; ;) {
    const socket = connect(port, 'localhost');
    const taken = await Promise.race([once(socket, 'connect').then(() => true), once(socket, 'error').then(() => false)]).catch(() => false);
    socket.destroy();
    if (!taken) return;
    if (performance.now() > deadline) throw new Error(`port ${port} is taken, and the docs need it`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Tabs of one browser, whose connections are noted as the tests of calls do. */
async function tabs(browser, urls, act) {
  const context = await browser.newContext();
  context.setDefaultTimeout(120_000);
  await context.addInitScript(() => {
    const Real = window.RTCPeerConnection;
    window.peerConnections = [];
    window.RTCPeerConnection = class extends Real {
      constructor(...args) {
        super(...args);
        window.peerConnections.push(this);
      }
    };
  });
  const pages = [];
  const said = [];
  try {
    for (const url of urls) {
      const page = await context.newPage();
      page.on('console', (message) => said.push(`${url}: ${message.text()}`));
      page.on('pageerror', (error) => said.push(`${url}: ${error}`));
      await page.goto(url);
      await act?.(page, pages.length);
      pages.push(page);
    }
    for (const page of pages) {
      await page.bringToFront();
      await page.waitForFunction(() => window.peerConnections.some(({ connectionState }) => connectionState === 'connected'));
      await receives(page);
    }
  } catch (error) {
    throw new Error(`no call; the tabs said:\n${said.join('\n')}`, { cause: error });
  }
  return { pages, close: () => context.close() };
}

/** Notes how long each step takes. */
function stopwatch() {
  const steps = {};
  const began = performance.now();
  return {
    steps,
    step: async (name, work) => {
      const from = performance.now();
      const result = await work();
      steps[name] = (performance.now() - from) / 1_000;
      console.log(`  ${name}: ${steps[name].toFixed(1)} s`);
      return result;
    },
    all: (name) => {
      steps[name] = (performance.now() - began) / 1_000;
      console.log(`  ${name}: ${steps[name].toFixed(1)} s`);
    },
  };
}

/** Takes `make run` from the end of commands: what comes before it ends, and it stays. */
function takeLast(commands) {
  const [, before, last] = /^(?:(.*) && )?(make run)$/.exec(commands.pop()) ?? [];
  assert.ok(last, 'the commands do not end with make run');
  if (before) commands.push(before);
  return last;
}

const here = (lines) => lines.map((line) => line.replace(ORIGIN, `file://${ROOT} signalbox`));

/** README.md, "Try it": a clone, a command, two tabs. */
async function tryIt(shell, browser) {
  const [commands] = blocks(section(await readFile(join(ROOT, 'README.md'), 'utf8'), 'Try it'));
  const last = takeLast(commands);
  assert.ok(commands.some((line) => line.includes(ORIGIN)), `the first command is not a clone: ${commands}`);
  const watch = stopwatch();
  await watch.step('clone', () => shell.run(here(commands)));
  const urls = await watch.step('`make run` until it says what to open', () => shell.stay(last, /http:\/\/\S+\/call\.html\S*/, 2));
  const call = await watch.step('two tabs, until both are in the call', () => tabs(browser, urls, async (page, n) => {
    await page.getByLabel('Your name').fill(['Ada', 'Bob'][n]);
    await page.getByRole('button', { name: 'Join', exact: true }).click();
  }));
  watch.all('from the clone to the call');
  await call.close();
  await shell.end();
  return watch.steps;
}

/** docs/quickstart-sdk.md, while the cluster of its first part runs: a package, a project, a page, two tabs. */
async function quickstart(shell, browser) {
  const page = await readFile(join(ROOT, 'docs/quickstart-sdk.md'), 'utf8');
  const [cluster, project, code] = ['A cluster', 'A project', 'The page'].map((heading) => section(page, heading));
  const [[...clone]] = blocks(cluster);
  takeLast(clone);
  const outside = shell.folder;
  await shell.run(here(clone));
  await shell.stay('make run', /http:\/\/\S+\/call\.html\S*/, 2);
  shell.folder = outside;

  const [[pack, create, ...install]] = blocks(project);
  const [, file, text] = /Put this into `(\S+)`.*?```js\n(.*?)```/s.exec(code);
  const [[serve]] = blocks(code);
  const [, url] = /Open <(http:\/\/localhost:\d+)>/.exec(code);
  const watch = stopwatch();
  await watch.step('packing the client', () => shell.run([pack]));
  await watch.step('an empty Vite project', () => shell.run([create]));
  await watch.step('`npm install` of the packed client', () => shell.run(install));
  await watch.step('the page, and its server', async () => {
    await access(join(shell.folder, file)); // the docs tell to replace what is there
    await writeFile(join(shell.folder, file), text);
    await shell.stay(serve, /http:\/\/localhost:5173/);
  });
  const call = await watch.step('two tabs, until both are in the call', () => tabs(browser, [url, url]));
  watch.all('from the package to the call');
  for (const tab of call.pages) {
    await tab.bringToFront();
    await plays(tab, 'video:last-of-type');
  }
  await call.close();
  await shell.end();
  return watch.steps;
}

function table(title, measured) {
  const names = Object.keys(measured.cold);
  const seconds = (value) => `${value.toFixed(1)} s`;
  return [
    `| ${title} | cold | warm |`, '|---|---:|---:|',
    ...names.map((name, i) => {
      const row = [name, seconds(measured.cold[name]), seconds(measured.warm[name])];
      return `| ${(i === names.length - 1 ? row.map((cell) => `**${cell}**`) : row).join(' | ')} |`;
    }), '',
  ].join('\n');
}

/** The paths, by the name of their part of the page. */
const PATHS = {
  readme: { title: 'README: from a fresh clone', walk: tryIt, ownCaches: true },
  // The cluster runs before the clock does: it may have the caches that there are.
  quickstart: { title: 'Quick start: from the packed client', walk: quickstart, ownCaches: false },
};

/** Walks one path twice, and writes how long it took. */
async function measure(name, { title, walk, ownCaches }, dir, browser) {
  const [load] = loadavg();
  const home = join(dir, name, 'home');
  await mkdir(join(home, 'tmp'), { recursive: true });
  // The caches of one path are its own, and empty at first. What is set for this project is not set for a newcomer.
  const env = Object.fromEntries(Object.entries(process.env).filter(([key]) => !/^(SIGNALBOX_|MAKE|MFLAGS|npm_)/.test(key)));
  const [GOCACHE, GOMODCACHE] = ownCaches
    ? [join(home, 'go-build'), join(home, 'go-mod')]
    : execFileSync('go', ['env', 'GOCACHE', 'GOMODCACHE'], { encoding: 'utf8' }).trim().split('\n');
  Object.assign(env, { HOME: home, TMPDIR: join(home, 'tmp'), npm_config_cache: join(home, 'npm'), GOCACHE, GOMODCACHE, GOFLAGS: '-modcacherw' });
  const measured = {};
  for (const caches of ['cold', 'warm']) {
    console.log(`${name}, ${caches} caches`);
    const folder = join(dir, name, caches);
    await mkdir(folder);
    const shell = new Shell(folder, env);
    try {
      measured[caches] = await walk(shell, browser);
    } finally {
      await shell.end();
    }
  }
  const [{ model }, ...others] = cpus();
  const where = `Measured on ${others.length + 1} processors (${model.trim()}), ${new Date().toISOString().slice(0, 10)}; other work on the machine was a load of ${load.toFixed(1)} at the beginning.`;
  const file = join(ROOT, 'docs/newcomer.md');
  const page = await readFile(file, 'utf8');
  const part = new RegExp(`(<!-- ${name}: .*? -->\\n).*?(<!-- /${name} -->)`, 's');
  await writeFile(file, page.replace(part, (whole, before, after) => `${before}\n${table(title, measured)}\n${where}\n\n${after}`));
}

for (const port of PORTS) await free(port, 0);
const chosen = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(PATHS);
const dir = await mkdtemp(join(tmpdir(), 'signalbox-newcomer-'));
const browser = await launch();
try {
  for (const name of chosen) await measure(name, PATHS[name], dir, browser);
} finally {
  await browser.close();
  await rm(dir, { recursive: true, force: true });
}
