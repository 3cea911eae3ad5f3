// A stock client with a transcript of everything that the server has told it.

import assert from 'node:assert/strict';
import { isDeepStrictEqual, inspect } from 'node:util';

import { arrival, dial, PATIENCE } from './clients.js';

export class Peer {
  /**
   * Each event as [name, ...arguments], each callback's answer as ['answer', ...arguments], and each end of a
   * connection as ['disconnect', why], as they came.
   */
  heard = [];
  #asked = 0;
  #waiting = new Set();
  #way;

  /**
   * Begins to connect.
   *
   * @param {typeof import('./clients.js').COMBINATIONS[number]} combination
   * @param {string} url with the namespace
   * @param {object} [options]
   */
  constructor(combination, url, options) {
    this.#way = combination.way;
    this.socket = dial(combination, url, options);
    // A client passes what comes to its listeners only where there are some, and the answer to a callback only once.
    for (const [method, note] of [['onevent', (data) => data], ['onack', (data) => ['answer', ...data]]]) {
      const handle = this.socket[method];
      this.socket[method] = (packet) => {
        this.heard.push(note(plain(packet.data)));
        handle.call(this.socket, packet);
        this.#look();
      };
    }
    this.socket.on('connect', () => this.#look());
    this.socket.on('disconnect', (why) => {
      this.heard.push(['disconnect', why]);
      this.#look();
    });
  }

  get id() {
    return this.socket.id;
  }

  /** The node that has its session. */
  get node() {
    return this.socket.io.engine.id.slice(0, 12);
  }

  /** Waits until it is connected, and by the last transport of its way. */
  async arrive() {
    await arrival(this.socket, this.#way);
    return this;
  }

  emit(...args) {
    this.socket.emit(...args);
  }

  /** Emits an event, and gives what its callback is called with. */
  ask(...args) {
    this.#asked++;
    return withDeadline(`an answer to ${inspect(args, { maxStringLength: 80 })}`, this, (resolve) => {
      this.socket.emit(...args, (...answer) => {
        assert.equal(answer.length, 1);
        resolve(plain(answer[0]));
      });
    });
  }

  /** Emits an event that has to be granted, and gives the answer. */
  async do(...args) {
    const answer = await this.ask(...args);
    assert.equal(answer.ok, true, `${inspect(args, { maxStringLength: 80 })}: ${inspect(answer)}`);
    return answer;
  }

  /** Waits until a condition holds that depends on what was heard, or on being connected. */
  until(what, condition) {
    let check;
    return withDeadline(what, this, (resolve) => {
      check = () => condition() && resolve();
      this.#waiting.add(check);
      check();
    }).finally(() => this.#waiting.delete(check));
  }

  /** Waits until it has heard an event with exactly these arguments. */
  hears(...event) {
    return this.until(inspect(event, { maxStringLength: 80 }), () => this.count(...event) > 0);
  }

  /** How often it has heard an event with exactly these arguments. */
  count(...event) {
    return this.heard.filter((one) => isDeepStrictEqual(one, event)).length;
  }

  /** Gives the events so far, and begins a new transcript. Every callback has to have been called exactly once. */
  take() {
    const all = this.heard.splice(0);
    const events = all.filter(([name]) => name !== 'answer');
    assert.equal(all.length - events.length, this.#asked, inspect(all, { maxStringLength: 80 }));
    this.#asked = 0;
    return events;
  }

  close() {
    this.socket.close();
  }

  #look() {
    for (const check of this.#waiting) check();
  }
}

/** Opens peers until there is one on every gateway, and gives these. */
export async function onEachGateway(gateways, open) {
  const peers = new Map();
  for (let tries = 0; peers.size < gateways.length; tries++) {
    assert.ok(tries < 100, 'the proxy does not choose at random');
    const peer = await open().arrive();
    if (peers.has(peer.node)) peer.close();
    else peers.set(peer.node, peer);
  }
  assert.deepEqual([...peers.keys()].sort(), gateways.map(({ node }) => node).sort());
  return gateways.map(({ node }) => peers.get(node));
}

function withDeadline(what, peer, body) {
  let timer;
  return new Promise((resolve, reject) => {
    timer = setTimeout(() => {
      const heard = inspect(peer.heard, { depth: 4, maxStringLength: 80, maxArrayLength: 30 });
      reject(new Error(`${what} did not come; connected: ${peer.socket.connected}, heard: ${heard}`));
    }, PATIENCE);
    body(resolve, reject);
  }).finally(() => clearTimeout(timer));
}

/** A copy in which everything binary is a Buffer, whatever the client makes of it. */
function plain(value) {
  if (value instanceof ArrayBuffer) return Buffer.from(value);
  if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (Array.isArray(value)) return value.map(plain);
  if (value && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
  return value;
}
