// Pages for the tests that import the client by its name, as a bundler makes them.

import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

/** The files that the client's entries are made of, so that no test waits for a build of the package. */
export const CLIENT = Object.fromEntries(Object.entries({ '': 'index', '/socketio': 'socketio', '/react': 'react' }).map(
  ([entry, file]) => [`@signalbox/client${entry}`, fileURLToPath(new URL(`../../sdk/js/src/${file}.js`, import.meta.url))],
));

/**
 * Makes one module of a page's script and of what it imports.
 *
 * @param {import('esbuild').BuildOptions} options
 * @returns {Promise<string>}
 */
export async function bundle({ alias, ...options }) {
  const { outputFiles: [{ text }] } = await build({
    bundle: true, write: false, format: 'esm', target: 'esnext', logLevel: 'error', alias: { ...CLIENT, ...alias }, ...options,
  });
  return text;
}
