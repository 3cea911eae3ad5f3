// The landing page: which gateway is this?

import { $, newClient, words } from './page.js';

const client = newClient();
const inTime = AbortSignal.timeout(8000);
try {
  await client.connect({ signal: inTime });
  $('gateway').replaceChildren('Served by ', Object.assign(document.createElement('strong'), { textContent: client.node }), ` at ${location.host}`);
  $('lamp').dataset.state = 'on';
} catch (error) {
  $('gateway').textContent = inTime.aborted ? `The gateway at ${location.host} does not answer.` : words(error);
  $('lamp').dataset.state = 'off';
} finally {
  client.close();
}
