// The page of the quick start, as a bundler makes it, on a cluster as `make run` starts it.

import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import { after, before, test } from 'node:test';
import { launch, people, plays, receives } from './browser.js';
import { bundle } from './bundle.js';
import { startCluster } from './cluster.js';

const ROOT = new URL('../../', import.meta.url);

let cluster;
let browser;
let site;
let script;

before(async () => {
  site = createServer((request, response) => {
    response.setHeader('Content-Type', request.url === '/main.js' ? 'text/javascript' : 'text/html');
    response.end(request.url === '/main.js' ? script : '<!doctype html><link rel="icon" href="data:,"><body><script type="module" src="/main.js"></script>');
  });
  site.listen(0, '127.0.0.1');
  await once(site, 'listening');
  cluster = await startCluster(['--origins', `http://127.0.0.1:${site.address().port}`]);
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await cluster?.stop();
  site?.closeAllConnections();
  site?.close();
});

test('the page of docs/quickstart-sdk.md is a call between two tabs', async () => {
  const [, code] = /```js\n(.*?)```/s.exec(await readFile(new URL('docs/quickstart-sdk.md', ROOT), 'utf8'));
  const all = people(browser);
  const pages = [];
  for (const { url } of cluster.gateways) {
    script = await bundle({ stdin: { contents: code.replace('http://localhost:8080', url), resolveDir: fileURLToPath(ROOT) } });
    pages.push(await all.open(url, `http://127.0.0.1:${site.address().port}/`));
  }
  for (const page of pages) {
    await receives(page);
    await plays(page, 'video:last-of-type');
  }
  all.assertNoTrouble();
  await all.close();
});
