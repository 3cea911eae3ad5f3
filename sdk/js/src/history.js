/** @import { HistoryPage } from './protocol.js' */

/** How many messages a page has unless it is said otherwise. */
const PAGE = 100;

/**
 * Pages of what is kept of a topic, the newest page first.
 *
 * @param {(fields: {before?: number, limit: number}) => Promise<HistoryPage>} ask
 * @param {{before?: number, limit?: number}} [options]
 * @returns {AsyncGenerator<HistoryPage, void, void>}
 */
export async function* pages(ask, { before, limit = PAGE } = {}) {
  /** @type {string | undefined} */
  let epoch;
  for (;;) {
    const page = await ask({ before, limit });
    // Another life of the room counts from 1 again: what was there before it is gone.
    if (epoch !== undefined && page.epoch !== epoch) return;
    epoch = page.epoch;
    if (page.messages.length > 0 || before === undefined) yield page;
    if (page.messages.length < limit) return;
    before = page.messages[0].seq;
  }
}
