import assert from 'node:assert/strict';
import { test } from 'node:test';
import { spotlightPeer } from '../src/spotlight.js';

const rotation = { start: 10_000, interval: 2000, order: ['a', 'b', 'c'] };

test('each peer has its turn, again and again', () => {
  for (const [now, want] of /** @type {[number, string][]} */ ([
    [0, 'a'],
    [10_000, 'a'],
    [11_999, 'a'],
    [12_000, 'b'],
    [15_999, 'c'],
    [16_000, 'a'],
    [10_000 + 2000 * 3_000_001, 'b'],
  ])) {
    assert.equal(spotlightPeer(rotation, now, () => true), want, String(now));
  }
});

test('who has left is passed over, and nobody else loses a turn', () => {
  assert.equal(spotlightPeer(rotation, 12_000, (peer) => peer !== 'b'), 'c');
  assert.equal(spotlightPeer(rotation, 14_000, (peer) => peer !== 'b'), 'c');
  assert.equal(spotlightPeer(rotation, 16_000, (peer) => peer !== 'b'), 'a');
  assert.equal(spotlightPeer(rotation, 14_000, () => false), null);
});
