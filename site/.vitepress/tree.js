// The pages of the repository and their titles.

import { readdirSync, readFileSync } from 'node:fs';

const root = new URL('../../', import.meta.url);

/**
 * The pages that an entry of the navigation stands for.
 *
 * @param {string} entry
 * @returns {string[]}
 */
export function pagesOf(entry) {
  if (!entry.endsWith('*')) return [entry];
  const [, folder, beginning] = /^(.*\/)(.*)\*$/.exec(entry) ?? [];
  const names = readdirSync(new URL(folder, root)).filter((name) => name.endsWith('.md') && name.startsWith(beginning));
  return names.sort((a, b) => Number(b === 'README.md') - Number(a === 'README.md') || a.localeCompare(b)).map((name) => folder + name);
}

/**
 * A page's first heading.
 *
 * @param {string} page
 */
export function titleOf(page) {
  const heading = /^# (.+)$/m.exec(readFileSync(new URL(page, root), 'utf8'));
  if (!heading) throw new Error(`${page} has no heading of the first level`);
  return heading[1].replaceAll('`', '');
}
