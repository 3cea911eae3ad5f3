// Builds what the package has: the bundles in dist/, of which a page needs one, and the declarations in types/.

import { execFileSync } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { minify } from 'terser';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Names of what modules share, and neither applications nor gateways see. */
const INTERNAL = [
  '_.*', 'asked', 'bytesIn', 'bytesOut', 'calls', 'described', 'endStreams', 'establish', 'fail', 'forget', 'giveUp', 'gone', 'haveSource', 'healthy', 'incoming',
  'lasted', 'leavesOpen', 'measure', 'nextID', 'nudge', 'onEvent', 'opened', 'placed', 'positions', 'probe', 'purposes', 'refuse', 'release',
  'resynced', 'seated', 'sends', 'settled', 'submit', 'succeed', 'tell', 'waitIn',
];

/** @type {import('esbuild').BuildOptions} */
const COMMON = {
  absWorkingDir: root,
  bundle: true,
  minify: true,
  sourcemap: 'external',
  target: 'es2022',
  mangleProps: new RegExp(`^(${INTERNAL.join('|')})$`),
};

/** The client is a bundle of its own, of which an application has one. @type {import('esbuild').Plugin} */
const BESIDE = {
  name: 'the client, beside it',
  setup(steps) {
    steps.onResolve({ filter: /^\.\/index\.js$/ }, () => ({ path: './signalbox.js', external: true }));
  },
};

for (const dir of ['dist', 'types']) await rm(new URL(`../${dir}/`, import.meta.url), { recursive: true, force: true });
const names = Object.keys(await import('../src/index.js')).join(', ');
// What esbuild makes of a global name costs 200 bytes more.
const contents = `import { ${names} } from './src/index.js';\nglobalThis.signalbox = { ${names} };`;
await bundle('signalbox.js', { entryPoints: ['src/index.js'] });
await bundle('signalbox.global.js', { stdin: { contents, resolveDir: root, sourcefile: 'global.js' }, format: 'iife' });
await bundle('socketio.js', { entryPoints: ['src/socketio.js'] });
await bundle('react.js', { entryPoints: ['src/react.js'], external: ['react'], plugins: [BESIDE] });
execFileSync('node_modules/.bin/tsc', ['-p', 'tsconfig.build.json'], { cwd: root, stdio: 'inherit' });
// Applications may compile for platforms without `await using`, whose types the declarations name.
const types = new URL('../types/index.d.ts', import.meta.url);
await writeFile(types, `/// <reference lib="esnext.disposable" />\n${await readFile(types, 'utf8')}`);

/**
 * Terser makes of what esbuild has bundled something that is smaller again, by 400 bytes of gzip.
 *
 * @param {string} name in dist/
 * @param {import('esbuild').BuildOptions} options
 */
async function bundle(name, options) {
  const { outputFiles } = await build({ ...COMMON, format: 'esm', ...options, outfile: `dist/${name}`, write: false });
  const [map, script] = outputFiles.map(({ text }) => text);
  const small = await minify({ [name]: script }, {
    ecma: 2020,
    module: true,
    compress: { passes: 3, sequences: false, inline: 1 }, // shorter with either, but not after gzip
    sourceMap: { content: map, filename: name, url: `${name}.map`, includeSources: true },
  });
  await mkdir(new URL('../dist/', import.meta.url), { recursive: true });
  await writeFile(new URL(`../dist/${name}`, import.meta.url), `${small.code}\n`);
  await writeFile(new URL(`../dist/${name}.map`, import.meta.url), `${small.map}`);
}
