// Links of the pages, which are written for the repository: what is no page of the site leads to the repository.

import { existsSync, statSync } from 'node:fs';
import { dirname, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** Files beside the pages that the site serves as they are. */
export const SERVED = ['docs/asyncapi.yaml'];

/** @param {string} file */
export const inRepository = (file) => resolve(root, file);

/**
 * A heading's anchor as Git hosts make it: links of the pages are written for these.
 *
 * @param {string} heading
 */
export const slugify = (heading) =>
  heading
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');

const isPage = (/** @type {string} */ file) => /^(docs|sdk\/js|helm\/signalbox|deploy\/k8s|loadtest)\/.*\.md$|^[^/]+\.md$/.test(file);

/** The HTML that pages may use within a line; anything else in angle brackets is text, as <namespace>. */
const TAGS = /^<(!--|\/?(a|br|img|kbd|sub|sup)\b)/;

/**
 * Changes what a page means in the repository into what it means in the site.
 *
 * @param {any[]} tokens
 * @param {string} page the page's file
 * @param {string} repository
 */
export function toSite(tokens, page, repository) {
  for (const token of tokens) {
    if (token.children) toSite(token.children, page, repository);
    if (token.type === 'html_inline' && !TAGS.test(token.content)) token.type = 'text';
    if (token.type === 'link_open') token.attrSet('href', linkOf(token.attrGet('href'), page, repository));
  }
}

/**
 * @param {string} href
 * @param {string} page
 * @param {string} repository
 */
export function linkOf(href, page, repository) {
  if (/^[a-z][a-z0-9+.-]*:|^#|^\/\//i.test(href)) return href;
  const [path, anchor] = href.split('#');
  const target = resolve(dirname(page), decodeURIComponent(path));
  const file = relative(root, target).split(sep).join('/');
  if (!existsSync(target)) throw new Error(`${relative(root, page)}: ${href}: no such file`);
  if (SERVED.includes(file)) return href;
  if (isPage(file)) return href.replace(/README\.md(?=$|#)/, 'index.md');
  const kind = statSync(target).isDirectory() ? 'tree' : 'blob';
  return `${repository}/${kind}/main/${file}${anchor === undefined ? '' : '#' + anchor}`;
}
