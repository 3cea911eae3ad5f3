// The cluster as its stream of samples tells: one stream for the whole page, whatever is shown.
import { follow } from './api.js';

const KEPT = 300;
const RATES = ['received', 'sent', 'sent_bytes', 'joins.ok', 'hellos.ok', 'cpu_seconds'];

/** Sums what nodes have counted by name, and by "name." for all values of a label. */
export function total(nodes, name) {
  let sum = 0;
  for (const { counts } of nodes) for (const [key, value] of Object.entries(counts ?? {})) if (key === name || key.startsWith(`${name}.`)) sum += value;
  return sum;
}

/** What nodes have counted of a name, by the value of its label. */
export function byValue(nodes, name) {
  const sums = new Map();
  for (const { counts } of nodes) {
    for (const [key, value] of Object.entries(counts ?? {})) {
      if (key.startsWith(`${name}.`)) sums.set(key.slice(name.length + 1), (sums.get(key.slice(name.length + 1)) ?? 0) + value);
    }
  }
  return [...sums].sort(([a], [b]) => (a < b ? -1 : 1));
}

export class Cluster extends EventTarget {
  /** The newest sample, its nodes with their rates; null before the first. */
  sample = null;
  history = [];
  #before = new Map(); // node to {at, counts, rates}

  /** @param {AbortSignal} signal */
  watch(signal) {
    return follow('/v1/statistics/events', {
      signal,
      event: (kind, data) => {
        if (kind === 'sample') this.#take(data);
      },
      state: (isOpen, error) => this.dispatchEvent(new CustomEvent('state', { detail: { isOpen, error } })),
    });
  }

  #take(sample) {
    const seen = new Map();
    for (const node of sample.nodes) {
      const before = this.#before.get(node.node);
      node.rates = before?.rates ?? {};
      if (before && node.at > before.at) {
        node.rates = Object.fromEntries(RATES.map((name) => [name, Math.max(0, (node.counts[name] ?? 0) - (before.counts[name] ?? 0)) * 1000 / (node.at - before.at)]));
      }
      if (node.counts) seen.set(node.node, { at: node.at, counts: node.counts, rates: node.rates });
    }
    this.#before = seen;
    this.sample = sample;
    const known = sample.nodes.filter(({ rates }) => 'received' in rates);
    const sum = (name) => (known.length > 0 ? known.reduce((all, { rates }) => all + rates[name], 0) : NaN);
    const all = (name) => sample.nodes.reduce((count, node) => count + node[name], 0);
    this.history.push({
      time: Date.parse(sample.time), sessions: all('sessions'), connections: all('connections'), rates: Object.fromEntries(RATES.map((name) => [name, sum(name)])),
    });
    this.history.splice(0, this.history.length - KEPT);
    this.dispatchEvent(new Event('sample'));
  }
}
