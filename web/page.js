// What the pages share: basics.js, and the connection to the gateway with words for people about it.

import { $, given, say, showLamp } from './basics.js';
import { Signalbox, SignalboxError } from './sdk.js';

export * from './basics.js';

/** A client of the gateway that serves this page. */
export function newClient(name) {
  const { app, token } = given;
  return new Signalbox(location.origin, token ? { token } : { app, name });
}

/** Joins with a capacity, or without where one may not choose it. */
export async function joinWith(client, room, { capacity, ...options }) {
  try {
    return await client.join(room, { ...options, capacity });
  } catch (error) {
    if (error.code !== 'forbidden') throw error;
    return client.join(room, options);
  }
}

const WORDS = {
  room_full: 'This room is full.',
  room_locked: 'A moderator has locked this room.',
  forbidden: 'You may not enter this room.',
  unauthorized: given.token ? 'Your invitation is not valid, or not any more.' : 'This gateway lets nobody in without an invitation.',
  limit: 'You are in too many rooms at once.',
  rate_limited: 'That was too much at once. Wait a moment and try again.',
  too_large: 'That is too long.',
  unavailable: 'The cluster is busy with itself. Try again in a moment.',
  timeout: 'The gateway takes too long to answer. Try again in a moment.',
  disconnected: 'There is no connection to the gateway at the moment.',
  outcome_unknown: 'The connection was lost, and nobody knows whether this has arrived.',
  taken_over: 'You go on elsewhere.',
};

/** An error in words for people. */
export function words(error) {
  if (error?.code === 'refused') return `The gateway refuses: ${error.message}.`;
  if (error instanceof SignalboxError) return WORDS[error.code] ?? `That did not work (${error.code}).`;
  return 'That did not work, and this page does not know why.';
}

/** Shows the client's connection, and says when it is lost and back. */
export function showSignaling(client, back) {
  let lost = false;
  const show = () => {
    const { state } = client;
    showLamp('signaling', { connected: 'on', closed: 'off' }[state] ?? 'busy', state);
    if (client.node) $('gateway').textContent = client.node;
  };
  client.addEventListener('state', ({ detail }) => {
    show();
    if (detail.state === 'reconnecting') {
      lost = true;
      say('The connection is lost. Reconnecting…', 'busy');
    } else if (detail.state === 'connecting' && detail.error) {
      say('The gateway does not answer. Trying again…', 'busy');
    } else if (detail.state === 'connected' && lost) {
      lost = false;
      say(back, 'good');
    }
  });
  show();
}
