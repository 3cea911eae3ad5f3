// Builds what the package has: the bundles in dist/, of which a page needs one, and the declarations in types/.

import { execFileSync } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));

/** @type {import('esbuild').BuildOptions} */
const COMMON = {
  absWorkingDir: root,
  bundle: true,
  minify: true,
  sourcemap: true,
  target: 'es2022',
  // What modules share, and neither applications nor gateways see.
  mangleProps: /^(_.*|bytesIn|bytesOut|endStreams|establish|haveSource|leavesOpen|nextID|onEvent|resynced|waitIn)$/,
};

/** The client is a bundle of its own, of which an application has one. @type {import('esbuild').Plugin} */
const BESIDE = {
  name: 'the client, beside it',
  setup(steps) {
    steps.onResolve({ filter: /^\.\/index\.js$/ }, () => ({ path: './signalbox.js', external: true }));
  },
};

for (const dir of ['dist', 'types']) await rm(new URL(`../${dir}/`, import.meta.url), { recursive: true, force: true });
await build({ ...COMMON, entryPoints: ['src/index.js'], format: 'esm', outfile: 'dist/signalbox.js' });
await build({ ...COMMON, entryPoints: ['src/index.js'], format: 'iife', globalName: 'signalbox', outfile: 'dist/signalbox.global.js' });
await build({ ...COMMON, entryPoints: ['src/socketio.js'], format: 'esm', outfile: 'dist/socketio.js' });
await build({ ...COMMON, entryPoints: ['src/react.js'], format: 'esm', outfile: 'dist/react.js', external: ['react'], plugins: [BESIDE] });
execFileSync('node_modules/.bin/tsc', ['-p', 'tsconfig.build.json'], { cwd: root, stdio: 'inherit' });
// Applications may compile for platforms without `await using`, whose types the declarations name.
const types = new URL('../types/index.d.ts', import.meta.url);
await writeFile(types, `/// <reference lib="esnext.disposable" />\n${await readFile(types, 'utf8')}`);
