// What the tests of stock clients on a cluster have in common.

import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';

import { COMBINATIONS, PATIENCE } from './clients.js';
import { startCluster } from './cluster.js';
import { onEachGateway, Peer } from './peer.js';

let rooms = 0;

/** A name that no other test has. */
export const newRoom = () => `room-${++rooms}`;

/**
 * Runs tests on a cluster of their own with every client by every way, some of them side by side.
 *
 * @param {string} title
 * @param {{flags?: string[], concurrency?: number}} options
 * @param {(stage: Stage) => void} define
 */
export function withEveryClient(title, { flags, concurrency = 4 }, define) {
  describe(title, { concurrency }, () => {
    let cluster;
    before(async () => {
      cluster = await startCluster(flags);
    });
    after(() => cluster?.stop());
    COMBINATIONS.forEach((combination, i) => {
      describe(combination.name, { concurrency: 1, timeout: 8 * PATIENCE }, () => {
        // Of another generation and by another way, each of them once.
        const stage = new Stage(() => cluster, combination, COMBINATIONS[(i + 5) % COMBINATIONS.length]);
        after(() => stage.close());
        define(stage);
      });
    });
  });
}

/** One client by one way, and those that it meets. */
export class Stage {
  #cluster;
  #peers = [];

  constructor(cluster, combination, other) {
    this.#cluster = cluster;
    this.combination = combination;
    this.other = other;
  }

  get cluster() {
    return this.#cluster();
  }

  get protocol() {
    return this.combination.client.protocol;
  }

  /** Begins to connect a peer. */
  open(namespace = '', { url = this.cluster.url, combination = this.combination, ...options } = {}) {
    const peer = new Peer(combination, url + namespace, options);
    this.#peers.push(peer);
    return peer;
  }

  /** Connects one peer on each gateway. */
  pair(namespace, options) {
    return onEachGateway(this.cluster.gateways, () => this.open(namespace, options));
  }

  close() {
    this.#peers.forEach((peer) => peer.close());
  }
}

/** Checks the answer to a refused event. */
export function assertRefused(answer, code, more = {}) {
  const { message, retryAfter, ...error } = answer.error ?? {};
  assert.deepEqual({ ...answer, error }, { ok: false, error: { code, ...more } });
  assert.equal(typeof message, 'string');
  assert.notEqual(message, '');
  assert.ok(retryAfter === undefined || retryAfter > 0);
}

/** Checks the answer to a granted event that the room numbers. */
export function assertNumbered(answer, room, more = {}) {
  const { seq, ...rest } = answer;
  assert.deepEqual(rest, { ok: true, room, ...more });
  assert.ok(Number.isSafeInteger(seq) && seq > 0, `seq ${seq}`);
}

/** Checks an event that tells what only native clients used to hear, and gives its details. */
export function controlOf([name, room, detail, ...more], type, theirRoom) {
  assert.deepEqual([name, room, detail?.type, detail?.room, more], ['control', theirRoom, type, theirRoom, []]);
  assert.ok(Number.isSafeInteger(detail.seq) && detail.seq > 0, `seq ${detail.seq}`);
  return detail;
}
