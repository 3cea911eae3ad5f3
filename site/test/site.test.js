// The site as it was built: every link within it leads somewhere, and every page can be reached.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { GROUPS } from '../.vitepress/pages.js';
import { pagesOf } from '../.vitepress/tree.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const site = join(root, 'bin/site');

/** @param {string} folder @param {RegExp} name */
function filesIn(folder, name) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && name.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name));
}

/** Undoes what HTML needs. @param {string} text */
const plain = (text) => text.replaceAll('&amp;', '&').replaceAll('&quot;', '"');

const pages = new Map(filesIn(site, /\.html$/).map((file) => [file, readFileSync(file, 'utf8')]));
const files = new Set(filesIn(site, /./));
/** @type {Map<string, Set<string>>} */
const anchors = new Map([...pages].map(([file, html]) => [file, new Set([...html.matchAll(/\sid="([^"]+)"/g)].map((m) => plain(m[1])))]));

/** @param {string} html */
const linksOf = (html) => [...html.matchAll(/<(?:a|img|link|script)\b[^>]*?\s(?:href|src)="([^"]*)"/g)].map((m) => plain(m[1]));

test('every page of the docs is in the navigation, once', () => {
  const listed = GROUPS.flatMap(({ pages }) => pages.flatMap(pagesOf));
  assert.deepEqual(listed.filter((page, i) => listed.indexOf(page) !== i), [], 'listed twice');
  const docs = filesIn(join(root, 'docs'), /\.md$/).map((file) => relative(root, file));
  const missing = docs.filter((page) => !listed.includes(page));
  assert.deepEqual(missing, [], 'not in site/.vitepress/pages.js');
  assert.ok(docs.length > 80, `${docs.length} pages were found`);
});

test('links within the site lead to files and headings', () => {
  const dead = [];
  let count = 0;
  for (const [file, html] of pages) {
    for (const link of linksOf(html)) {
      if (/^[a-z]+:/.test(link)) continue;
      count++;
      const [path, anchor] = link.split('#');
      let target = path === '' ? file : path.startsWith('/') ? join(site, decodeURI(path)) : resolve(dirname(file), decodeURI(path));
      if (path.endsWith('/') || target === site) target = join(target, 'index.html');
      if (!files.has(target) && files.has(`${target}.html`)) target += '.html';
      const there = files.has(target) && (!anchor || !pages.has(target) || anchors.get(target)?.has(decodeURIComponent(anchor)));
      if (!there) dead.push(`${relative(site, file)}: ${link}`);
    }
  }
  assert.deepEqual(dead, []);
  assert.ok(count > 5000, `only ${count} links were found`);
});

test('links out of the site are addresses by https', () => {
  const outside = new Set();
  for (const html of pages.values()) for (const link of linksOf(html)) if (/^[a-z]+:/.test(link)) outside.add(link);
  for (const link of outside) {
    const { protocol, hostname } = new URL(link);
    const here = ['localhost', '127.0.0.1'].includes(hostname);
    assert.ok(protocol === 'https:' || protocol === 'mailto:' || here, link);
    assert.ok(here || protocol === 'mailto:' || hostname.includes('.'), link);
  }
  console.log(`links out of the site, which are not followed:\n${[...outside].filter((link) => !link.includes('/signalbox-rtc/')).sort().join('\n')}`);
});

test('the search needs no server but the site', () => {
  const index = [...files].find((file) => /localSearchIndex.*\.js$/.test(file));
  assert.ok(index, 'no index');
  assert.ok(readFileSync(index, 'utf8').includes('"whiteboard"'), 'a word of the docs is not in it');
  for (const [file, html] of pages) {
    const scripts = [...html.matchAll(/<(?:script|link)\b[^>]*?(?:src|href)="(https?:[^"]*)"/g)].map((m) => m[1]);
    assert.deepEqual(scripts, [], relative(site, file));
  }
});
