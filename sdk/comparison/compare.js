// Measures the clients side by side, and writes the tables of docs/sdk-comparison.md.
//
//   node compare.js           into the page
//   node compare.js --print   only says them

import { createServer } from 'node:http';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { PeerServer } from 'peer';

import { startCluster, startRoad } from '../../test/browser/cluster.js';
import { holds, launch, people } from '../../test/browser/browser.js';

const HERE = new URL('./', import.meta.url);
const PAGE = new URL('../../docs/sdk-comparison.md', HERE);

/** Each with the package that it is, and the file of its call. */
const LIBRARIES = [
  { key: 'signalbox', name: 'Signalbox', package: '@signalbox/client', sample: 'samples/signalbox.ts' },
  { key: 'simple-peer', name: 'simple-peer', package: 'simple-peer/simplepeer.min.js', sample: 'samples/simple-peer.ts' },
  { key: 'peerjs', name: 'PeerJS', package: 'peerjs', sample: 'samples/peerjs.ts' },
  { key: 'livekit', name: 'LiveKit', package: 'livekit-client', sample: 'samples/livekit.ts' },
];

/** Those whose server is here. */
const MEASURED = LIBRARIES.slice(0, 3);

/** How long something may take that does not come by itself, in milliseconds, and how long the way to the signaling is cut. */
const PATIENCE = 20_000;
const CUT = 5_000;

const local = (path) => fileURLToPath(new URL(path, HERE));
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
/** What applications get of the client: its bundle. */
const alias = { '@signalbox/client': local('../js/dist/signalbox.js') };

async function bundle(options) {
  const { outputFiles: [{ contents }] } = await build({
    bundle: true, minify: true, write: false, format: 'esm', target: 'es2022', logLevel: 'silent', absWorkingDir: local('.'), ...options, alias: { ...alias, ...options.alias },
  });
  return contents;
}

async function packageOf(library) {
  const file = library.key === 'signalbox' ? '../js/package.json' : `node_modules/${library.package.split('/')[0]}/package.json`;
  return JSON.parse(await readFile(local(file), 'utf8'));
}

/** Sizes as a page gets them, and how much code the call takes. */
async function sizes() {
  const kilobytes = (bytes) => (bytes / 1_024).toFixed(1);
  const rows = [];
  for (const library of LIBRARIES) {
    const contents = `export ${library.key === 'simple-peer' ? '{ default }' : '*'} from '${library.package}';`;
    const whole = await bundle({ stdin: { contents, resolveDir: local('.') } });
    const source = await readFile(local(library.sample), 'utf8');
    // simple-peer does not say what a bundler is to take for browsers; its own build is.
    const call = await bundle({ stdin: { contents: source.replace("from 'simple-peer'", "from 'simple-peer/simplepeer.min.js'"), resolveDir: local('.'), loader: 'ts' } });
    const lines = source.split('\n').filter((line) => line.trim() && !line.startsWith('//')).length;
    const { version, dependencies = {} } = await packageOf(library);
    rows.push([`${library.name} ${version}`, ...[whole.length, gzipSync(whole).length, gzipSync(call).length].map(kilobytes), lines, Object.keys(dependencies).length]);
  }
  return table(['', 'minified, KB', 'gzipped, KB', 'the call below with all it needs, gzipped, KB', 'lines of the call', 'packages that it depends on'], rows);
}

/** Two people in a call, by one of the libraries, each on a way to the signaling that can be cut. */
async function meet(stage, library, room) {
  const all = people(stage.browser);
  const road = await startRoad(library.key === 'peerjs' ? stage.peerServer : stage.gateway);
  const server = { host: '127.0.0.1', port: Number(new URL(road.url).port), path: '/calls' };
  const options = { gateway: road.url, server, room };
  const pages = [];
  const join = async (name) => {
    const page = await all.open(name, `${stage.site}/${library.key}.html`);
    await page.evaluate((options) => window.compared.join(options), options);
    pages.push(page);
    return page;
  };
  const close = async () => {
    await all.close();
    await road.stop();
  };
  await join('Ada');
  await join('Bob');
  for (const page of pages) await holds(() => page.evaluate(() => window.compared.pictures() > 0), `${library.name}: a picture`);
  return { pages, road, join, close };
}

/** Whether a condition comes to hold, and after how long, in seconds. */
async function comes(condition) {
  const began = performance.now();
  while (performance.now() - began < PATIENCE) {
    if (await condition()) return (performance.now() - began) / 1_000;
    await pause(50);
  }
  return undefined;
}

const MEASUREMENTS = {
  async 'both add a picture in the same moment'(stage, library, room) {
    const { pages, close } = await meet(stage, library, room);
    try {
      if (!(await pages[0].evaluate(() => window.compared.canAdd()))) return 'a call cannot be changed';
      await Promise.all(pages.map((page) => page.evaluate(() => window.compared.add())));
      const counts = () => Promise.all(pages.map((page) => page.evaluate(() => window.compared.pictures())));
      const took = await comes(async () => (await counts()).every((count) => count === 2));
      return took === undefined ? `pictures that came after ${PATIENCE / 1_000} s: ${(await counts()).join(' and ')} of 2` : 'both see both';
    } finally {
      await close();
    }
  },

  async 'signaling is lost for 5 s'(stage, library, room) {
    const { pages, road, close } = await meet(stage, library, room);
    try {
      const bytes = () => pages[0].evaluate(() => window.compared.bytes());
      road.cut();
      await pause(CUT);
      const before = await bytes();
      const goesOn = (await comes(async () => (await bytes()) > before)) !== undefined;
      road.mend();
      const signals = () => Promise.all(pages.map((page) => page.evaluate(() => window.compared.signals())));
      const took = await comes(async () => (await signals()).every(Boolean));
      const back = took === undefined ? `signaling does not come back by itself within ${PATIENCE / 1_000} s` : `signaling is back by itself ${took.toFixed(1)} s after the network`;
      return `the call goes on: ${goesOn ? 'yes' : 'no'}; ${back}`;
    } finally {
      await close();
    }
  },

  async 'a third person comes'(stage, library, room) {
    const { pages, join, close } = await meet(stage, library, room);
    try {
      const third = await join('Eve').then(() => undefined, (error) => error.message.split('\n')[0].replace(/^page\.evaluate: /, ''));
      if (third) return `is refused: ${third}`;
      const took = await comes(() => pages[2].evaluate(() => window.compared.pictures() > 0));
      return took === undefined ? 'is let in, and sees nobody' : 'is let in, and sees the first one';
    } finally {
      await close();
    }
  },
};

/** What becomes of each library in a worker. */
async function inWorker(stage, library) {
  const context = await stage.browser.newContext();
  const page = await context.newPage();
  await page.goto(`${stage.site}/empty.html`);
  const server = { host: '127.0.0.1', port: Number(new URL(stage.peerServer).port), path: '/calls' };
  const result = await page.evaluate(({ library, options }) => new Promise((resolve) => {
    const worker = new Worker(`/${library}.worker.js`, { type: 'module' });
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = ({ message }) => resolve(message || 'does not load');
    worker.postMessage(options);
    setTimeout(() => resolve('nothing happens'), 10_000);
  }), { library: library.key, options: { gateway: stage.gateway, server } });
  await context.close();
  return result.split('\n')[0];
}

async function startSite() {
  const files = { '/empty.html': ['text/html', '<!doctype html><link rel="icon" href="data:,">'] };
  for (const { key } of LIBRARIES) {
    files[`/${key}.worker.js`] = ['text/javascript', await bundle({ entryPoints: [local('pages/worker.js')], alias: { 'the-library': local(`workers/${key}.js`) } })];
  }
  for (const { key } of MEASURED) {
    files[`/${key}.js`] = ['text/javascript', await bundle({ entryPoints: [local('pages/main.js')], alias: { 'the-library': local(`pages/${key}.js`) } })];
    files[`/${key}.html`] = ['text/html', `<!doctype html><link rel="icon" href="data:,"><script type="module" src="/${key}.js"></script>`];
  }
  const site = createServer((request, response) => {
    const [type, content] = files[request.url] ?? ['text/plain', ''];
    response.setHeader('Content-Type', type);
    response.end(content);
  });
  site.listen(0, '127.0.0.1');
  await once(site, 'listening');
  return site;
}

async function behaviour() {
  const site = await startSite();
  const browser = await launch();
  let peerServer;
  let cluster;
  try {
    const listening = await new Promise((resolve) => {
      peerServer = PeerServer({ host: '127.0.0.1', port: 0, path: '/calls' }, (server) => {
        peerServer.http = server;
        resolve(server.address());
      });
    });
    const address = `http://127.0.0.1:${site.address().port}`;
    cluster = await startCluster(['--origins', address]);
    const stage = { browser, site: address, gateway: cluster.gateways[0].url, peerServer: `http://127.0.0.1:${listening.port}` };
    const rows = [];
    for (const [what, measure] of Object.entries(MEASUREMENTS)) {
      const row = [what];
      for (const library of MEASURED) {
        console.error(`${what}: ${library.name}`);
        row.push(await measure(stage, library, `${library.key}-${rows.length}`));
      }
      rows.push([...row, 'not measured']);
    }
    const workers = ['in a worker'];
    for (const library of LIBRARIES) workers.push(await inWorker(stage, library));
    rows.push(workers);
    return table(['measured in Chromium', ...LIBRARIES.map(({ name }) => name)], rows);
  } finally {
    await browser.close();
    await cluster?.stop();
    peerServer?.http?.close();
    peerServer?.http?.closeAllConnections();
    site.closeAllConnections();
    site.close();
  }
}

function table(head, rows) {
  const line = (cells) => `| ${cells.map((cell) => String(cell).replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map((_, i) => (i === 0 || rows.some((row) => Number.isNaN(Number(row[i]))) ? '---' : '---:'))), ...rows.map(line)].join('\n');
}

/** The code of each call, as it is type-checked and measured. */
async function samples() {
  const parts = await Promise.all(LIBRARIES.map(async ({ name, sample }) => `### ${name}\n\n\`\`\`ts\n${await readFile(local(sample), 'utf8')}\`\`\``));
  return parts.join('\n\n');
}

const parts = { sizes: await sizes(), samples: await samples(), behaviour: await behaviour() };
if (process.argv.includes('--print')) {
  console.log(Object.values(parts).join('\n\n'));
} else {
  let page = await readFile(PAGE, 'utf8');
  for (const [name, text] of Object.entries(parts)) {
    page = page.replace(new RegExp(`(<!-- ${name}: .*? -->\\n).*?(<!-- /${name} -->)`, 's'), (whole, before, after) => `${before}\n${text}\n\n${after}`);
  }
  await writeFile(PAGE, page);
}
process.exit(); // the PeerJS server has timers that it does not end
