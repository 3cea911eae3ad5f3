// Checks the types of the samples in JavaScript that the docs have. Those of the client's own README are checked beside the client.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { GROUPS } from '../.vitepress/pages.js';
import { pagesOf } from '../.vitepress/tree.js';

const site = fileURLToPath(new URL('../', import.meta.url));
const root = join(site, '..');

/** Pages whose samples sdk/js/scripts/samples.js checks, with what only they may use. */
const BESIDE_THE_CLIENT = /^sdk\/js\/|^docs\/sdk/;

/** What a sample may use that does not make it: names that the text around it explains. */
const AMBIENT = `
import type { Socket } from 'socket.io-client';
declare global {
  const io: typeof import('socket.io-client').io;
  const withSignalbox: typeof import('@signalbox/client/socketio').withSignalbox;
  interface ParentNode {
    querySelector(selectors: '#theirs'): HTMLVideoElement;
  }
  const socket: Socket;
  const connections: RTCPeerConnection[];
  const candidate: RTCIceCandidate;
  const { token, room, id }: Record<'token' | 'room' | 'id', string>;
}
`;

const CONFIG = {
  compilerOptions: {
    allowJs: true,
    checkJs: true,
    noEmit: true,
    strict: true,
    // The samples are JavaScript, without comments for types.
    noImplicitAny: false,
    strictNullChecks: false,
    target: 'es2022',
    module: 'esnext',
    moduleResolution: 'bundler',
    moduleDetection: 'force',
    lib: ['es2023', 'dom', 'dom.iterable', 'esnext.disposable'],
    types: ['node'],
    paths: {},
    skipLibCheck: true,
  },
  include: ['*.js', '*.ts'],
};

/** @param {string} page */
function samplesOf(page) {
  const markdown = readFileSync(join(root, page), 'utf8');
  return [...markdown.matchAll(/^```(js|ts|html)\n(.*?)^```$/gms)].flatMap(({ 1: language, 2: text, index }) => {
    const line = markdown.slice(0, index).split('\n').length;
    const scripts = language === 'html' ? [...text.matchAll(/<script(?: type="module")?>\n(.*?)<\/script>/gs)].map((m) => m[1]) : [text];
    return scripts.map((script, i) => ({ name: `${page.replaceAll('/', '-')}-line-${line}-${i}.${language === 'ts' ? 'ts' : 'js'}`, script }));
  });
}

/** @param {{ name: string, script: string }[]} samples */
function compile(samples) {
  mkdirSync(join(site, 'node_modules/.samples'), { recursive: true });
  const dir = mkdtempSync(join(site, 'node_modules/.samples/'));
  try {
    const src = join(relative(dir, root), 'sdk/js/src');
    const paths = { '@signalbox/client': [`${src}/index.js`], '@signalbox/client/*': [`${src}/*.js`] };
    const config = { ...CONFIG, compilerOptions: { ...CONFIG.compilerOptions, paths } };
    writeFileSync(join(dir, 'tsconfig.json'), JSON.stringify(config));
    writeFileSync(join(dir, 'ambient.d.ts'), AMBIENT);
    for (const { name, script } of samples) writeFileSync(join(dir, name), `${script}\nexport {};\n`);
    const { status, stdout } = spawnSync(join(site, 'node_modules/.bin/tsc'), ['-p', dir], { cwd: site, encoding: 'utf8' });
    return { ok: status === 0, text: stdout };
  } finally {
    rmSync(dir, { recursive: true });
  }
}

test('the samples of the docs are of the right types', () => {
  const pages = GROUPS.flatMap(({ pages: listed }) => listed.flatMap(pagesOf)).filter((page) => !BESIDE_THE_CLIENT.test(page));
  const samples = pages.flatMap(samplesOf);
  assert.ok(samples.length >= 8, `only ${samples.length} samples were found`);
  const { ok, text } = compile(samples);
  assert.ok(ok, text);
});

test('a sample that calls what is not there is found', () => {
  const { ok, text } = compile([{ name: 'bad.js', script: "socket.emitt('join', room);" }]);
  assert.ok(!ok);
  assert.match(text, /emitt/);
});
