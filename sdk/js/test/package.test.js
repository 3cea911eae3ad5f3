import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { runInNewContext } from 'node:vm';
import { gzipSync } from 'node:zlib';
import { WebSocket } from 'ws';
import { reference } from '../scripts/reference.js';
import * as source from '../src/index.js';
import { FakeGateway } from './gateway.js';
import { next } from './support.js';

/** What a page may have to load, in bytes of gzip. */
const BUDGET = 15_000;

const root = fileURLToPath(new URL('..', import.meta.url));

/** An empty project that the packed package is installed into. */
let project = '';
/** @type {{path: string, size: number}[]} */
let files = [];

/** @param {string} path */
const installed = (path) => join(project, 'node_modules/@signalbox/client', path);

before(async () => {
  project = await mkdtemp(join(tmpdir(), 'signalbox-consumer-'));
  const packed = execFileSync('npm', ['pack', '--json', '--silent', '--pack-destination', project], { cwd: root, encoding: 'utf8' });
  const [{ filename, files: listed }] = JSON.parse(packed);
  files = listed;
  await writeFile(join(project, 'package.json'), '{"private": true, "type": "module"}');
  execFileSync('npm', ['install', '--offline', '--no-audit', '--no-fund', '--silent', join(project, filename)], { cwd: project });
});
after(() => rm(project, { recursive: true, force: true }));

test('the package has bundles, their source maps and declarations, and nothing else', () => {
  const paths = files.map(({ path }) => path);
  const unexpected = paths.filter((path) => !/^(README\.md|package\.json|dist\/(signalbox(\.global)?|socketio|react)\.js(\.map)?|types\/[a-z-]+\.d\.ts)$/.test(path));
  assert.deepEqual(unexpected, []);
  for (const path of ['dist/signalbox.js', 'dist/signalbox.js.map', 'dist/signalbox.global.js', 'dist/signalbox.global.js.map', 'types/index.d.ts']) {
    assert.ok(paths.includes(path), `${path} is missing`);
  }
});

test('docs/sdk.md is what the declarations say', async () => {
  const written = await readFile(new URL('../../../docs/sdk.md', import.meta.url), 'utf8');
  assert.ok(written === (await reference(installed('types'))), 'it is out of date: npm run reference');
});

test('it needs no other package, and React for its hooks alone', async () => {
  const { dependencies, peerDependencies, peerDependenciesMeta } = JSON.parse(await readFile(installed('package.json'), 'utf8'));
  assert.equal(dependencies, undefined);
  assert.deepEqual(Object.keys(peerDependencies), ['react']);
  assert.deepEqual(peerDependenciesMeta, { react: { optional: true } });
});

test('the hooks use the bundle beside them, and are small', async (t) => {
  const hooks = await readFile(installed('dist/react.js'));
  assert.deepEqual([...hooks.toString().matchAll(/from"([^"]+)"/g)].map(([, name]) => name).sort(), ['./signalbox.js', 'react']);
  const size = gzipSync(hooks, { level: 9 }).length;
  t.diagnostic(`react.js: ${size} bytes of gzip`);
  assert.ok(size < 2_000, `${size} bytes`);
});

for (const bundle of ['signalbox.js', 'signalbox.global.js']) {
  test(`${bundle} is below ${BUDGET} bytes`, async (t) => {
    const size = gzipSync(await readFile(installed(`dist/${bundle}`)), { level: 9 }).length;
    t.diagnostic(`${bundle}: ${size} bytes of gzip`);
    assert.ok(size < BUDGET, `${size} bytes`);
    assert.ok(size > BUDGET / 3, `${size} bytes: is everything in it?`);
  });
}

test('publint finds nothing', () => {
  const { status, stdout } = spawnSync(join(root, 'node_modules/.bin/publint'), ['--strict', '--pack', 'false', installed('')], { encoding: 'utf8' });
  assert.equal(status, 0, stdout);
});

for (const [module, moduleResolution] of [['esnext', 'bundler'], ['nodenext', 'nodenext']]) {
  test(`a strict application compiles with module resolution ${moduleResolution}, and what is wrong in it is found`, async () => {
    const dir = join(project, moduleResolution);
    await mkdir(dir);
    await copyFile(new URL('consumer/consumer.ts', import.meta.url), join(dir, 'consumer.ts'));
    const compilerOptions = {
      module, moduleResolution, target: 'es2022', lib: ['es2022', 'dom', 'dom.iterable'], types: [], noEmit: true, strict: true,
      exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, noPropertyAccessFromIndexSignature: true, noImplicitOverride: true,
      skipLibCheck: false, verbatimModuleSyntax: true,
    };
    await writeFile(join(dir, 'tsconfig.json'), JSON.stringify({ compilerOptions }));
    const { status, stdout } = spawnSync(join(root, 'node_modules/.bin/tsc'), ['-p', dir], { encoding: 'utf8' });
    assert.equal(status, 0, stdout);
  });
}

test('import, require and the script tag give the same names', async () => {
  const names = Object.keys(source).sort();
  const require = createRequire(join(project, 'main.cjs'));
  const bundle = await import(pathToFileURL(require.resolve('@signalbox/client')).href);
  assert.deepEqual(Object.keys(bundle).sort(), names);
  const script = await readFile(installed('dist/signalbox.global.js'), 'utf8');
  const page = { EventTarget, TextEncoder, signalbox: {} };
  runInNewContext(script, page);
  assert.deepEqual(Object.keys(page.signalbox).sort(), names);
});

test('the bundle resumes a session as its source does', async (t) => {
  const gateway = await FakeGateway.start();
  const sessions = gateway.keepSessions();
  const { Signalbox, SignalboxError } = /** @type {typeof source} */ (await import(pathToFileURL(installed('dist/signalbox.js')).href));
  const client = new Signalbox(gateway.url, { app: 'demo', WebSocket, backoff: { min: 1, max: 5 } });
  t.after(async () => {
    client.close();
    await gateway.stop();
  });
  await client.connect();
  const room = await client.join('lobby');
  gateway.latest.socket.terminate();
  assert.equal((await next(client, 'state')).state, 'reconnecting');
  sessions.tell('lobby', { event: { type: 'message', from: 'x', data: 'missed' } });
  assert.equal((await next(room, 'message')).data, 'missed');
  await room.leave();
  await assert.rejects(room.publish('late'), (error) => error instanceof SignalboxError && error.code === 'closed');
});
