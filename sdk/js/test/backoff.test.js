import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Backoff } from '../src/backoff.js';

test('delays are anything from zero to a ceiling that doubles up to the maximum', () => {
  for (const [random, want] of /** @type {[number, number[]][]} */ ([
    [1, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]],
    [0.5, [250, 500, 1000, 2000, 4000, 8000, 15000, 15000]],
    [0, [0, 0, 0, 0, 0, 0, 0, 0]],
  ])) {
    const backoff = new Backoff({ random: () => random });
    assert.deepEqual(want.map(() => backoff.next()), want);
  }
});

test('a reset starts over at the low end', () => {
  const backoff = new Backoff({ random: () => 1 });
  for (let i = 0; i < 2000; i += 1) assert.ok(backoff.next() <= 30_000);
  backoff.reset();
  assert.equal(backoff.next(), 500);
});
