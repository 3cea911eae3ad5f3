// The documentation as a static site: docs/ and the READMEs as they are on the repository's host.

import { copyFile, mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

import { defineConfig } from 'vitepress';

import { inRepository, SERVED, slugify, toSite } from './links.js';
import { GROUPS } from './pages.js';
import { pagesOf, titleOf } from './tree.js';

const root = new URL('../../', import.meta.url);
const out = new URL('bin/site/', root);
const repository = 'https://github.com/signalbox-rtc/signalbox';

/** @param {string} page */
const address = (page) => '/' + page.replace(/(^|\/)README\.md$/, '$1').replace(/\.md$/, '');

/** Folders of so many pages that they are shown closed. */
const folders = new Map([['docs/runbooks/*', 'Runbooks'], ['docs/adr/*', 'Decisions']]);
const sidebar = GROUPS.map(({ text, pages }) => ({
  text,
  collapsed: false,
  items: pages.flatMap((entry) => {
    const items = pagesOf(entry).map((page) => ({ text: titleOf(page), link: address(page) }));
    return folders.has(entry) ? [{ text: folders.get(entry), collapsed: true, items }] : items;
  }),
}));

/** Prometheus' language, as far as it is worth a colour. */
const promql = {
  name: 'promql',
  scopeName: 'source.promql',
  repository: {},
  patterns: [
    { name: 'string.quoted', match: '"[^"]*"' },
    { name: 'constant.numeric', match: '\\b\\d+(\\.\\d+)?[smhdw]?\\b' },
    { name: 'keyword.control', match: '\\b(by|without|on|ignoring|group_left|group_right|and|or|unless|offset|bool)\\b' },
    { name: 'entity.name.function', match: '\\b[a-z_]+(?=\\s*\\()' },
  ],
};

/** The pages lie outside of the folder that has the packages: what they import is looked for from here. */
const besideThePackages = {
  name: 'beside-the-packages',
  enforce: /** @type {const} */ ('pre'),
  resolveId(/** @type {string} */ id, /** @type {string | undefined} */ importer) {
    if (!/^vue($|\/)/.test(id) || !importer?.endsWith('.md')) return null;
    return /** @type {any} */ (this).resolve(id, fileURLToPath(import.meta.url), { skipSelf: true });
  },
};

export default defineConfig({
  title: 'Signalbox',
  description: 'A horizontally scaled WebRTC signaling cluster',
  head: [['link', { rel: 'icon', type: 'image/svg+xml', href: '/icon.svg' }]],
  srcDir: '..',
  outDir: fileURLToPath(out),
  cacheDir: 'node_modules/.cache/vitepress',
  srcExclude: ['**/node_modules/**', 'bin/**', '**/DESIGN.md', 'site/**', 'test/**', 'pkg/**', 'services/**', 'web/**'],
  rewrites: (page) => page.replace(/(^|\/)README\.md$/, '$1index.md'),
  cleanUrls: false,
  // Addresses for people who run it here. Every other dead link ends the build.
  ignoreDeadLinks: [/^https?:\/\/(localhost|127\.0\.0\.1)/],
  markdown: {
    linkify: false, // an address in a sentence can be one inside a cluster
    languages: [promql],
    anchor: { slugify },
    config: (md) => {
      md.core.ruler.push('for-the-site', (state) => toSite(state.tokens, state.env.path, repository));
      const { escapeHtml } = md.utils;
      // Vue would take braces in the text for a template's.
      md.renderer.rules.text = (tokens, i) => escapeHtml(tokens[i].content).replaceAll('{{', '&#123;&#123;');
    },
  },
  vite: { plugins: [besideThePackages] },
  themeConfig: {
    logo: '/icon.svg',
    sidebar,
    outline: [2, 3],
    search: { provider: 'local' },
    nav: [
      { text: 'Start', link: '/docs/quick-start' },
      { text: 'Protocol', link: '/docs/protocol' },
      { text: 'Operations', link: '/docs/operations' },
      { text: 'Security', link: '/docs/security' },
      { text: 'Comparison', link: '/docs/alternatives' },
    ],
    socialLinks: [{ icon: 'github', link: repository }],
    editLink: { pattern: `${repository}/blob/main/:path`, text: 'This page in the repository' },
  },
  async buildEnd() {
    for (const file of SERVED) {
      const to = new URL(file, out);
      await mkdir(dirname(fileURLToPath(to)), { recursive: true });
      await copyFile(inRepository(file), to);
    }
    await copyFile(inRepository('web/icon.svg'), new URL('icon.svg', out));
  },
});
