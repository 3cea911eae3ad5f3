// The rooms of an app, thousands of them, and one of them live.
import { follow, get, path, post, remove } from './api.js';
import { age, ask, badge, clock, el, number, say, table } from './dom.js';
import { virtualList } from './list.js';

const PAGE = 500;
const ROW = 44;
/** How often what is shown is looked at again, and how long typing may pause, in milliseconds. */
const AGAIN = 4000;
const TYPING = 200;

/** All apps that the key is for. */
export async function allApps(signal) {
  const apps = [];
  for (let cursor = ''; ;) {
    const page = await get('/v1/apps', { cursor, limit: 1000 }, signal);
    apps.push(...page.apps);
    if (!(cursor = page.next)) return apps;
  }
}

/** A choice of an app that says which one it is. */
export function chooseApp(apps, chosen, changed) {
  const select = el('select', { id: 'app', onchange: () => changed(select.value) }, ...apps.map(({ id }) => el('option', { value: id, selected: id === chosen }, id)));
  return el('label', { class: 'field' }, el('span', null, 'App'), select);
}

const href = (app, room) => `#/rooms/${encodeURIComponent(app)}/${encodeURIComponent(room)}`;

export async function rooms({ parts, signal }) {
  const apps = await allApps(signal);
  const app = parts[1] ?? apps[0]?.id;
  let list = [];
  let next = '';
  let loading = null;
  let prefix = '';

  const count = el('p', { class: 'muted', role: 'status', id: 'count' });
  const view = virtualList('Rooms', ROW, (room) => el('a', { class: 'room', href: href(app, room.room) },
    el('span', { class: 'room-name' }, room.room), el('span', { class: 'room-seats' }, `${number(room.members)} of ${number(room.capacity)}`),
    room.locked ? badge('locked', 'busy') : el('span'), el('span', { class: 'room-age muted' }, age(room.created))), () => more());
  const search = el('input', { type: 'search', id: 'search', autocomplete: 'off', spellcheck: false, maxLength: 128, placeholder: 'Names that begin with…' });
  const element = el('div', { class: 'view' }, el('h1', null, 'Rooms'),
    el('div', { class: 'tools' }, chooseApp(apps, app, (id) => (location.hash = `#/rooms/${encodeURIComponent(id)}`)), el('label', { class: 'field grow' }, el('span', null, 'Search'), search)),
    count, el('section', { class: 'card flush' }, el('div', { class: 'room head', 'aria-hidden': 'true' }, el('span', null, 'Room'), el('span', null, 'Seats'), el('span'), el('span', null, 'Age')), view.element));
  if (!app) return el('div', { class: 'view' }, el('h1', null, 'Rooms'), el('p', null, 'There is no app yet.'));

  const show = () => {
    view.set(list);
    count.textContent = `${number(list.length)}${next ? ' or more' : ''} ${list.length === 1 && !next ? 'room' : 'rooms'}${prefix ? ` that begin with ${prefix}` : ''}`;
  };
  const page = (cursor, of) => get(path('apps', app, 'rooms'), { prefix: of, cursor, limit: PAGE }, signal);
  const sorted = (all) => all.sort((a, b) => (a.room < b.room ? -1 : 1));
  async function fresh() {
    const of = prefix;
    const first = await page('', of);
    if (of !== prefix || signal.aborted) return;
    if (!first.next) {
      list = sorted(first.rooms);
      next = '';
    } else if (list.length === 0 || !next) {
      list = first.rooms;
      next = first.next;
    } else { // further pages are there: what is known of the first is put right
      const known = new Map(first.rooms.map((room) => [room.room, room]));
      list = list.map((room) => known.get(room.room) ?? room);
    }
    show();
  }
  async function more() {
    if (!next || loading) return;
    const of = prefix;
    loading = page(next, of);
    try {
      const got = await loading;
      if (of === prefix) {
        list = list.concat(got.rooms);
        next = got.next ?? '';
        show();
      }
    } catch (error) {
      if (!signal.aborted) say(`The list does not go on: ${error.message}`);
    } finally {
      loading = null;
    }
  }
  let typing;
  search.addEventListener('input', () => {
    clearTimeout(typing);
    typing = setTimeout(() => {
      prefix = search.value.trim();
      list = [];
      next = '';
      view.top();
      if (/^[A-Za-z0-9._~-]*$/.test(prefix)) again();
      else show();
    }, TYPING);
  });
  const again = () => fresh().catch((error) => !signal.aborted && say(`The rooms cannot be listed: ${error.message}`));
  const timer = setInterval(() => !document.hidden && /^[A-Za-z0-9._~-]*$/.test(prefix) && again(), AGAIN);
  signal.addEventListener('abort', () => {
    clearInterval(timer);
    clearTimeout(typing);
  });
  await fresh();
  return element;
}

/** How many events are kept in the page. */
const EVENTS = 200;
const TALK = new Set(['message', 'whiteboard', 'chat']);

export async function room({ parts, signal, writes }) {
  const [, app, name] = parts;
  const where = (...more) => path('apps', app, 'rooms', name, ...more);
  const facts = el('dl', { class: 'facts' });
  const members = table('Members', [{ title: 'Name' }, { title: 'User' }, { title: 'Peer' }, { title: 'State' }, ...(writes ? [{ title: 'Action' }] : [])], 'Nobody has a seat.');
  const lobby = table('Lobby', [{ title: 'Name' }, { title: 'User' }, { title: 'Peer' }, { title: 'Waits' }], 'Nobody waits.');
  const log = el('ol', { class: 'events', id: 'events', tabIndex: 0, 'aria-label': 'Events' });
  const lamp = el('span', { class: 'lamp busy' });
  const state = el('span', null, 'Connecting');
  const close = writes ? el('button', { type: 'button', class: 'danger', id: 'close', onclick: closeRoom }, 'Close the room') : null;
  const element = el('div', { class: 'view' },
    el('p', { class: 'crumbs' }, el('a', { href: `#/rooms/${encodeURIComponent(app)}` }, `Rooms of ${app}`)),
    el('div', { class: 'title' }, el('h1', { class: 'name' }, name), el('span', { class: 'pulse', role: 'status' }, lamp, ' ', state), close),
    el('section', { class: 'card' }, facts),
    el('div', { class: 'halves' },
      el('div', null, el('section', { class: 'card' }, el('h2', null, 'Members'), members.element), el('section', { class: 'card' }, el('h2', null, 'Lobby'), lobby.element)),
      el('section', { class: 'card' }, el('h2', null, 'Events'), el('p', { class: 'muted' }, 'What happens, without what is said.'), log)));

  async function closeRoom() {
    if (!(await ask('Close the room?', `Everybody in ${name} is sent away.`, 'Close it'))) return;
    await act(() => remove(where()), `${name} is closed.`);
  }
  async function kick(member) {
    if (!(await ask('Kick the member?', `${member.name || member.user} loses the seat in ${name}.`, 'Kick'))) return;
    await act(() => post(where('members', member.peer, 'kick')), 'The seat was taken away.');
  }
  async function act(what, done) {
    try {
      await what();
      say(done);
    } catch (error) {
      say(`It was refused: ${error.message}`);
    }
  }

  async function look() {
    const [now, seats, waiting] = await Promise.all([get(where(), undefined, signal), get(where('members'), { limit: 1000 }, signal), get(where('waiting'), undefined, signal)]);
    facts.replaceChildren(...[
      ['Seats', `${number(seats.count)} of ${number(now.capacity)}`], ['Locked', now.locked ? 'yes' : 'no'], ['Presenter', now.presenter || '–'], ['Made', `${age(now.created)} ago`],
      ['Events', number(now.seq)], ['Version', number(now.version)], ['Properties', Object.keys(now.properties ?? {}).sort().join(', ') || '–'],
    ].map(([title, value]) => el('div', null, el('dt', null, title), el('dd', null, value))));
    members.fill(seats.members.map((one) => [
      el('strong', null, one.name || '–'), one.user, el('code', null, one.peer),
      el('span', { class: 'badges' }, one.away ? badge('away', 'busy') : badge('here', 'good'), ...Object.keys(one.state ?? {}).sort().map((key) => badge(key, 'plain'))),
      ...(writes ? [el('button', { type: 'button', class: 'quiet kick', 'aria-label': `Kick ${one.name || one.user}`, onclick: () => kick(one) }, 'Kick')] : []),
    ]));
    lobby.fill(waiting.waiting.map((one) => [el('strong', null, one.name || '–'), one.user, el('code', null, one.peer), one.reason === 'full' ? 'for a seat' : 'to be let in']));
  }
  let looking = false;
  let later = false;
  async function lookSoon() {
    if (looking) {
      later = true;
      return;
    }
    looking = true;
    do {
      later = false;
      await look().catch((error) => !signal.aborted && error.status !== 404 && say(`The room cannot be read: ${error.message}`));
      await new Promise((resolve) => setTimeout(resolve, 300));
    } while (later && !signal.aborted);
    looking = false;
  }

  await look();
  follow(where('events'), {
    query: { brief: 'true' }, signal,
    event: (kind, data) => {
      if (kind !== 'snapshot') {
        const { seq, type, room: _, ...rest } = data;
        log.prepend(el('li', null, el('time', null, clock(Date.now())), el('span', { class: 'seq' }, seq ?? ''), el('strong', null, kind), el('span', { class: 'detail' }, detail(rest))));
        while (log.childElementCount > EVENTS) log.lastElementChild.remove();
      }
      if (kind === 'closed') {
        lamp.className = 'lamp';
        state.textContent = 'The room has ended';
        members.fill([]);
        lobby.fill([]);
        close?.remove();
        return true;
      }
      if (!TALK.has(kind)) lookSoon();
      return false;
    },
    state: (isOpen, error) => {
      lamp.className = isOpen ? 'lamp on' : 'lamp busy';
      state.textContent = isOpen ? 'Live' : error?.status === 404 ? 'The room has ended' : 'Reconnecting';
    },
  });
  return element;
}

/** What else an event says, in one line. */
function detail(value) {
  return Object.entries(value).map(([key, inner]) => `${key} ${typeof inner === 'object' && inner ? `(${detail(inner)})` : inner}`).join(', ');
}
