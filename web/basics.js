// What the pages share that needs no connection to a gateway: the address' parameters, room names, forms, and faces.

/** Element by id. */
export const $ = (id) => document.getElementById(id);

const query = new URLSearchParams(location.search);
const fragment = new URLSearchParams(location.hash.slice(1));

/**
 * ?app=, ?room=, ?media=, ?client=, ?transport= and #token=. A token belongs in the fragment, which browsers send to no
 * server.
 */
export const given = {
  app: query.get('app') ?? 'demo',
  room: query.get('room') ?? '',
  media: query.get('media') ?? '',
  client: query.get('client') ?? '',
  transport: query.get('transport') ?? '',
  token: fragment.get('token') ?? undefined,
};

const FIRST = ['amber', 'brisk', 'calm', 'coral', 'crisp', 'early', 'gentle', 'golden', 'green', 'lucky', 'mellow', 'misty', 'north', 'quiet', 'silver', 'sunny', 'swift', 'tidal', 'velvet', 'warm'];
const SECOND = ['badger', 'beacon', 'cedar', 'comet', 'falcon', 'harbor', 'heron', 'island', 'lantern', 'maple', 'meadow', 'otter', 'pebble', 'raven', 'river', 'signal', 'sparrow', 'summit', 'tunnel', 'willow'];

/** A room name that can be read out on the phone: amber-otter-4711. */
export function randomRoom() {
  const [a, b, c] = crypto.getRandomValues(new Uint32Array(3));
  return `${FIRST[a % FIRST.length]}-${SECOND[b % SECOND.length]}-${1000 + (c % 9000)}`;
}

/** What people type, as a room name: spaces become hyphens. */
export const roomName = (typed) => typed.trim().replace(/\s+/g, '-');

/** What is wrong with name and room, as a sentence; empty if nothing is. */
export function problemWith({ name, room }) {
  if (!name) return 'Please say who you are: the others see your name.';
  if (!room) return 'Please name a room.';
  if (!/^[A-Za-z0-9._~-]{1,120}$/.test(room)) return 'A room name has letters from A to Z, digits, and . _ ~ - only.';
  return '';
}

/** Shows one line on top of the page: kind is quiet, good, busy or bad. Read out by screen readers. */
export function say(text, kind = 'quiet') {
  const status = $('status');
  if (status.textContent !== text) status.textContent = text;
  status.dataset.kind = text ? kind : 'quiet';
}

/** Shows what is wrong with the form; nothing without text. */
export function complain(text, field) {
  $('problem').textContent = text;
  $('problem').hidden = !text;
  for (const input of document.querySelectorAll('[aria-invalid]')) input.removeAttribute('aria-invalid');
  if (field) {
    field.setAttribute('aria-invalid', 'true');
    field.focus();
  }
}

/** Chooses one of a group of radio buttons, if there is one of this value. */
export function choose(name, value) {
  for (const input of document.getElementsByName(name)) if (input.value === value) input.checked = true;
}

/** Which one of a group of radio buttons is chosen. */
export const chosen = (name) => document.querySelector(`input[name="${name}"]:checked`).value;

/** Fills the form with what the address or the last visit gave. */
export function fillForm() {
  $('name').value = recall('name');
  $('room').value = given.room || randomRoom();
  $('dice').addEventListener('click', () => {
    $('room').value = randomRoom();
    $('room').focus();
  });
}

/** Makes the address lead back to the room, and to what else was chosen. */
export function remember({ name, ...rest }) {
  keep('name', name);
  const url = new URL(location.href);
  for (const [key, value] of Object.entries(rest)) url.searchParams.set(key, value);
  history.replaceState(null, '', url);
}

/** Buttons that copy the room's link; a link never carries a token. */
export function copyLinks(getRoom) {
  for (const button of document.querySelectorAll('.copy-link')) {
    const label = button.querySelector('span');
    const text = label.textContent;
    let timer;
    button.addEventListener('click', async () => {
      const url = new URL(location.pathname, location.origin);
      url.searchParams.set('room', getRoom());
      if (given.app !== 'demo') url.searchParams.set('app', given.app);
      clearTimeout(timer);
      try {
        await navigator.clipboard.writeText(url.href);
        label.textContent = 'Link copied';
      } catch {
        // Without the right to write, or on plain HTTP, people copy by hand.
        prompt('Copy this link:', url.href);
      }
      timer = setTimeout(() => (label.textContent = text), 2500);
    });
  }
}

/** Shows a state as a lamp (on, busy, off) and a word. */
export function showLamp(id, state, text) {
  $(`${id}-lamp`).dataset.state = state;
  $(id).textContent = text;
}

/** A name for a peer that has none. */
export const nameOf = (peer) => peer?.name || 'Somebody';

/** One line of the list of people. */
export function personLine(peer, isSelf, notes) {
  const line = document.createElement('li');
  line.dataset.peer = peer.id;
  const face = document.createElement('span');
  face.className = 'initials';
  face.textContent = initials(nameOf(peer));
  face.setAttribute('aria-hidden', 'true');
  const name = document.createElement('span');
  name.className = 'person';
  name.textContent = isSelf ? `${nameOf(peer)} (you)` : nameOf(peer);
  line.append(face, name);
  if (notes.length > 0) {
    const badges = document.createElement('span');
    badges.className = 'badges';
    badges.append(...notes.map(([icon, text]) => badge(icon, text)));
    line.append(badges);
  }
  line.classList.toggle('away', peer.away);
  return line;
}

/** The letters of a face without a picture. */
export function initials(name) {
  const words = name.trim().split(/\s+/);
  const letters = words.length > 1 ? [words[0], words.at(-1)] : [words[0]];
  return letters.map((word) => [...word][0] ?? '').join('').toUpperCase();
}

const SVG = 'http://www.w3.org/2000/svg';

/** An icon of icons.svg. */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS(SVG, 'use');
  use.setAttribute('href', `icons.svg#${name}`);
  svg.append(use);
  return svg;
}

function badge(name, text) {
  const note = document.createElement('span');
  note.className = 'badge';
  if (name) note.append(icon(name));
  const label = document.createElement('span');
  label.textContent = text;
  note.append(label);
  return note;
}

/** Remembers something for the next visit. */
export function keep(key, value) {
  try {
    localStorage.setItem(`signalbox.${key}`, value);
  } catch {
    // Storage can be switched off; the name is typed again, then.
  }
}

/** What was remembered at an earlier visit; empty if nothing was. */
export function recall(key) {
  try {
    return localStorage.getItem(`signalbox.${key}`) ?? '';
  } catch {
    return '';
  }
}
