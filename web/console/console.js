// The console: asks for a key, follows the cluster, and shows one view at a time by the address's fragment.
import { get, key } from './api.js';
import { apps, webhooks } from './apps.js';
import { Cluster } from './cluster.js';
import { el } from './dom.js';
import { calls, overview } from './overview.js';
import { room, rooms } from './rooms.js';

const main = document.querySelector('#view');
const nav = document.querySelector('#nav');
const who = document.querySelector('#who');
const lamp = document.querySelector('#lamp');
const pulse = document.querySelector('#pulse');

const VIEWS = [
  { name: '', title: 'Overview', make: overview, all: true }, { name: 'rooms', title: 'Rooms', make: (context) => (context.parts.length > 2 ? room(context) : rooms(context)) },
  { name: 'apps', title: 'Apps', make: apps }, { name: 'webhooks', title: 'Webhooks', make: webhooks }, { name: 'calls', title: 'Relays and calls', make: calls, all: true },
];

let self = null; // what the key may do
let cluster = new Cluster();
let following = new AbortController();
let showing = new AbortController();

function signIn(trouble) {
  following.abort();
  showing.abort();
  self = null;
  nav.hidden = who.hidden = true;
  const input = el('input', { type: 'password', id: 'secret', autocomplete: 'off', spellcheck: false, required: true, 'aria-describedby': 'secret-help' });
  const form = el('form', { class: 'card sign-in', onsubmit: async (event) => {
    event.preventDefault();
    key.set(input.value.trim());
    await begin();
  } }, el('h1', null, 'Console'), el('label', { for: 'secret' }, 'Key of the server API'), input,
  el('p', { class: 'muted', id: 'secret-help' }, 'One of api.keys, or of an app. It stays in this tab and goes to this gateway alone.'),
  trouble ? el('p', { class: 'notice bad', role: 'alert' }, trouble) : null, el('button', { type: 'submit', class: 'primary' }, 'Open'));
  main.replaceChildren(form);
  input.focus();
}

async function begin() {
  try {
    self = await get('/v1/key');
  } catch (error) {
    key.forget();
    signIn(error.status === 401 ? 'That key is not known here.' : `The server API does not answer: ${error.message}`);
    return;
  }
  document.querySelector('#key').textContent = `${self.id} · ${self.pages ? self.can : 'read only'}`;
  nav.replaceChildren(...VIEWS.filter(({ all }) => !all || self.all).map(({ name, title }) => el('a', { href: `#/${name}` }, title)));
  nav.hidden = who.hidden = false;
  following.abort();
  following = new AbortController();
  cluster = new Cluster();
  cluster.addEventListener('state', ({ detail }) => {
    lamp.className = detail.isOpen ? 'lamp on' : 'lamp busy';
    pulse.textContent = detail.isOpen ? 'Live' : detail.error?.status === 429 ? 'Too many viewers' : 'Reconnecting';
  });
  lamp.className = 'lamp on';
  pulse.textContent = self.all ? 'Connecting' : 'One app';
  if (self.all) cluster.watch(following.signal);
  await route();
}

async function route() {
  if (!self) return;
  const parts = location.hash.replace(/^#\/?/, '').split('/').map(decodeName);
  let view = VIEWS.find(({ name, all }) => name === parts[0] && (!all || self.all));
  if (!view) {
    view = VIEWS.find(({ all }) => !all || self.all);
    parts.splice(0, parts.length, view.name);
  }
  showing.abort();
  showing = new AbortController();
  const { signal } = showing;
  for (const link of nav.children) {
    if (link.getAttribute('href') === `#/${view.name}`) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  document.title = `${parts.length > 2 ? parts[2] : view.title} · Signalbox console`;
  let element;
  try {
    element = await view.make({ parts, signal, cluster, writes: self.pages, all: self.all });
  } catch (error) {
    if (signal.aborted) return;
    element = el('div', { class: 'view' }, el('h1', null, view.title), el('p', { class: 'notice bad', role: 'alert' }, error.status === 404 ? 'It is not there, or not any more.' : `It cannot be shown: ${error.message}`));
  }
  if (!signal.aborted) main.replaceChildren(element);
}

function decodeName(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

addEventListener('hashchange', route);
addEventListener('key-refused', () => {
  if (!self) return;
  key.forget();
  signIn('The key is not valid any more.');
});
document.querySelector('#forget').addEventListener('click', () => {
  key.forget();
  signIn();
});
if (key.get()) await begin();
else signIn();
