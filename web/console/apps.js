// Apps with their quotas, and the events that webhooks did not take.
import { get, path, post, remove } from './api.js';
import { age, ask, badge, el, number, say, table } from './dom.js';
import { allApps, chooseApp } from './rooms.js';

const QUOTAS = [['connections', 'Connections'], ['rooms', 'Rooms'], ['members', 'Members'], ['messages_per_second', 'Messages /s'], ['bytes_per_second', 'Bytes /s']];
const MOST = 100;

export async function apps({ signal, cluster }) {
  const all = await allApps(signal);
  const search = el('input', { type: 'search', id: 'search', autocomplete: 'off', spellcheck: false, placeholder: 'Ids that begin with…', oninput: () => show() });
  const grid = table('Apps', [
    { title: 'App' }, { title: 'State' }, { title: 'Sessions', number: true }, { title: 'Rooms', number: true }, ...QUOTAS.map(([, title]) => ({ title: `Quota: ${title}`, number: true })), { title: 'Action' },
  ], 'No app is called so.');
  const count = el('p', { class: 'muted', role: 'status' });
  const element = el('div', { class: 'view' }, el('h1', null, 'Apps'), el('div', { class: 'tools' }, el('label', { class: 'field grow' }, el('span', null, 'Search'), search)), count,
    el('section', { class: 'card' }, grid.element, el('p', { class: 'muted' }, 'A dash is the deployment\'s own quota, or none. Sessions and rooms are those of the busiest apps.')));
  const settings = new Map(); // id to quotas, once they are known

  function show() {
    const found = all.filter(({ id }) => id.startsWith(search.value.trim()));
    count.textContent = `${number(found.length)} ${found.length === 1 ? 'app' : 'apps'}${found.length > MOST ? `, the first ${MOST} of them` : ''}`;
    const shown = found.slice(0, MOST);
    const busy = new Map((cluster.sample?.apps ?? []).map((app) => [app.app, app]));
    grid.fill(shown.map((app) => [
      el('strong', null, app.id), app.disabled ? badge('disabled', 'bad') : badge(app.managed ? 'managed' : 'configured', 'good'), number(busy.get(app.id)?.sessions), number(busy.get(app.id)?.rooms),
      ...QUOTAS.map(([key]) => (settings.get(app.id)?.[key] === -1 ? 'none' : number(settings.get(app.id)?.[key] || NaN))), el('a', { href: `#/rooms/${encodeURIComponent(app.id)}` }, 'Rooms'),
    ]));
    return shown;
  }
  // The quotas are in each app's settings: they are read once, a few at a time, of those that are shown.
  async function read() {
    for (const app of show()) {
      if (signal.aborted) return;
      if (settings.has(app.id)) continue;
      settings.set(app.id, (await get(path('apps', app.id), undefined, signal).catch(() => ({}))).quotas ?? {});
    }
    show();
  }
  search.addEventListener('input', read);
  cluster.addEventListener('sample', show, { signal });
  read();
  return element;
}

export async function webhooks({ parts, signal, writes, cluster, all }) {
  const known = await allApps(signal);
  const app = parts[1] ?? known[0]?.id;
  if (!app) return el('div', { class: 'view' }, el('h1', null, 'Webhooks'), el('p', null, 'There is no app yet.'));
  const where = path('apps', app, 'webhooks', 'dead-letters');
  const columns = [{ title: 'Event' }, { title: 'Room' }, { title: 'Seq', number: true }, { title: 'Endpoint' }, { title: 'Why' }, { title: 'Given up', number: true }, ...(writes ? [{ title: 'Action' }] : [])];
  const grid = table('Dead letters', columns, 'Every event was taken.');
  const count = el('p', { class: 'muted', role: 'status', id: 'count' });
  const figures = el('dl', { class: 'facts' });
  const everything = writes ? [el('button', { type: 'button', class: 'primary', id: 'replay-all', onclick: () => replay() }, 'Replay all'), el('button', { type: 'button', class: 'quiet', id: 'forget-all', onclick: () => discard() }, 'Forget all')] : [];
  const element = el('div', { class: 'view' }, el('h1', null, 'Webhooks'), all ? el('section', { class: 'card' }, figures) : null,
    el('div', { class: 'tools' }, chooseApp(known, app, (id) => (location.hash = `#/webhooks/${encodeURIComponent(id)}`)), ...everything), count,
    el('section', { class: 'card' }, el('h2', null, 'Dead letters'), grid.element));

  async function look() {
    const { deadLetters, next } = await get(where, { limit: MOST }, signal);
    count.textContent = `${number(deadLetters.length)}${next ? ' or more' : ''} ${deadLetters.length === 1 ? 'event was' : 'events were'} given up`;
    everything.forEach((button) => (button.disabled = deadLetters.length === 0));
    grid.fill(deadLetters.map((letter) => [
      el('strong', null, letter.kind), letter.room, number(letter.seq), letter.endpoint, badge(letter.reason, 'busy'), `${age(letter.parked)} ago`,
      ...(writes ? [el('span', { class: 'badges' }, el('button', { type: 'button', class: 'quiet replay', onclick: () => replay(letter.id) }, 'Replay'),
        el('button', { type: 'button', class: 'quiet forget', onclick: () => discard(letter.id) }, 'Forget'))] : []),
    ]));
  }
  async function act(what, said) {
    try {
      const { count: done } = await what();
      say(`${number(done)} ${done === 1 ? 'event' : 'events'} ${said}`);
      await look();
    } catch (error) {
      say(`It was refused: ${error.message}`);
    }
  }
  const replay = (id) => act(() => post(`${where}/replay`, id ? { id } : {}), 'to be delivered anew.');
  async function discard(id) {
    if (await ask('Forget what was not delivered?', id ? 'This event is not delivered any more.' : `No dead letter of ${app} is delivered any more.`, 'Forget')) {
      await act(() => remove(where, { id }), 'forgotten.');
    }
  }
  const tell = () => {
    const counts = new Map();
    for (const node of cluster.sample?.nodes ?? []) {
      for (const [key, value] of Object.entries(node.counts ?? {})) if (/^(deliveries|dead_letters|pending)(\.|$)/.test(key)) counts.set(key, (counts.get(key) ?? 0) + value);
    }
    figures.replaceChildren(...[...counts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, value]) => el('div', null, el('dt', null, key.replace('deliveries.', 'posts, ').replace('dead_letters.', 'given up, ').replace('pending', 'waiting')), el('dd', null, number(value)))));
  };
  cluster.addEventListener('sample', tell, { signal });
  tell();
  const timer = setInterval(() => !document.hidden && look().catch(() => {}), 5000);
  signal.addEventListener('abort', () => clearInterval(timer));
  await look();
  return element;
}
