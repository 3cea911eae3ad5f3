// Checks the types of the samples in README.md: each is a module of its own, in which client and room are there.

import { spawnSync } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const root = new URL('..', import.meta.url);
const dir = new URL('.samples/', root);

/** What every sample may use that does not import it. */
const AMBIENT = `
import type * as signalbox from '../src/index.js';
declare global {
  const client: signalbox.Signalbox;
  const room: signalbox.Room;
  const { Call, ConflictError, NotSeatedError, Signalbox, SignalboxError, spotlightPeer }: typeof signalbox;
}
`;

const CONFIG = {
  extends: '../tsconfig.json',
  compilerOptions: {
    paths: { '@signalbox/client': ['../src/index.js'], '@signalbox/client/*': ['../src/*.js'] }, noUnusedLocals: false, jsx: 'react-jsx',
  },
  include: ['*.js', '*.jsx', 'ambient.d.ts', '../src'],
};

/** @param {string} markdown */
function samplesOf(markdown) {
  const blocks = [...markdown.matchAll(/^```(jsx?|html)\n(.*?)^```$/gms)].map(([whole, language, text]) => {
    const line = markdown.slice(0, markdown.indexOf(whole)).split('\n').length;
    const script = language !== 'html' ? text : (/<script type="module">\n(.*?)<\/script>/s.exec(text)?.[1] ?? '');
    return { line, script, ending: language === 'jsx' ? 'jsx' : 'js' };
  });
  return blocks.filter(({ script }) => script !== '');
}

const samples = samplesOf(await readFile(new URL('README.md', root), 'utf8'));
if (samples.length < 10) throw new Error(`README.md has ${samples.length} samples only: are they still found?`);
await rm(dir, { recursive: true, force: true });
await mkdir(dir);
await writeFile(new URL('ambient.d.ts', dir), AMBIENT);
await writeFile(new URL('tsconfig.json', dir), JSON.stringify(CONFIG));
for (const { line, script, ending } of samples) await writeFile(new URL(`README.md-line-${line}.${ending}`, dir), `${script}\nexport {};\n`);
const { status } = spawnSync('npx', ['tsc', '-p', fileURLToPath(dir)], { stdio: 'inherit', cwd: fileURLToPath(root) });
if (status === 0) await rm(dir, { recursive: true });
process.exitCode = status ?? 1;
