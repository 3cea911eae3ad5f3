// The meeting page's dialogs: devices, the link, what else there is, and questions. Each is the one <dialog> of the page, which keeps the
// focus inside, closes with Escape, and gives the focus back.

import { devicesOf, meter } from './meet-media.js';
import { switchLanguage, t } from './meet-words.js';
import { $, given, icon, keep, recall } from './basics.js';

/** The shortcuts, in the order in which they are listed. */
const KEYS = ['m', 'v', 's', 'h', 'w', 'c', 'p', 'x', 'q'];

/** Element with attributes, and what is in it. */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== false) element.setAttribute(key, value === true ? '' : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** What is to be done when what the dialog shows is over. */
let over = () => {};

/** Opens the dialog with a title and a body, also in place of others; closed runs once when that is over. */
function open(title, body, closed = () => {}) {
  const dialog = $('dialog');
  const before = over;
  over = closed;
  before();
  const heading = make('h2', { id: 'dialog-title' }, title);
  const close = make('button', { type: 'button', class: 'plain', id: 'dialog-close', 'aria-label': t('close'), title: t('close'), onclick: () => dialog.close() }, icon('close'));
  dialog.replaceChildren(make('div', { class: 'dialog-body' }, make('div', { class: 'dialog-head' }, heading, close), ...body));
  dialog.onclick = (event) => {
    if (event.target === dialog) dialog.close();
  };
  dialog.onclose = () => {
    if (dialog.open) return; // it was opened again before this was told
    const before = over;
    over = () => {};
    before();
    dialog.replaceChildren();
  };
  if (dialog.open) dialog.querySelector('[autofocus], button').focus();
  else dialog.showModal();
}

/** A question that is answered with yes, or not. @returns {Promise<boolean>} */
export function ask(question, yes) {
  return new Promise((resolve) => {
    let answer = false;
    const say = (value) => () => {
      answer = value;
      $('dialog').close();
    };
    open(question, [make('div', { class: 'actions' },
      make('button', { type: 'button', class: 'danger', id: 'yes', onclick: say(true) }, yes),
      make('button', { type: 'button', id: 'no', autofocus: true, onclick: say(false) }, t('cancel')))], () => resolve(answer));
  });
}

/** The link to a room. It never carries a token. */
export function invite(room) {
  const url = new URL(location.pathname, location.origin);
  url.searchParams.set('room', room);
  if (given.app !== 'demo') url.searchParams.set('app', given.app);
  const field = make('input', { id: 'invite-link', readonly: true, value: url.href, 'aria-label': t('link'), onfocus: () => field.select() });
  const label = make('span', { role: 'status' }, t('copy-link'));
  const copy = make('button', {
    type: 'button', class: 'primary', id: 'copy', autofocus: true,
    onclick: async () => {
      try {
        await navigator.clipboard.writeText(url.href);
        label.textContent = t('link-copied');
      } catch {
        // Without the right to write, or on plain HTTP, people copy by hand.
        label.textContent = t('copy-by-hand');
        field.focus();
      }
    },
  }, icon('link'), label);
  const share = navigator.share && make('button', {
    type: 'button', id: 'share-link', onclick: () => navigator.share({ title: t('join-me'), url: url.href }).catch(() => {}),
  }, t('share-link'));
  open(t('invite'), [make('p', { class: 'hint' }, t('invite-text')), field, make('div', { class: 'actions' }, copy, share)]);
}

/**
 * Camera, microphone and loudspeaker, with a picture and a level.
 *
 * @param {{media: import('./meet-media.js').OwnMedia, listen: (deviceId: string) => void}} parts
 */
export async function openSettings({ media, listen }) {
  const body = make('div', { class: 'settings' });
  const problem = make('p', { class: 'problem', role: 'alert', hidden: true });
  const video = make('video', { autoplay: true, muted: true, playsinline: true, 'aria-label': t('own-picture') });
  video.muted = true;
  video.srcObject = media.stream;
  video.classList.toggle('mirror', media.source === 'devices');
  const bar = make('span');
  const level = make('div', { class: 'level still', role: 'img', 'aria-label': t('level') }, bar);
  const picture = make('div', { class: 'tile preview-tile', 'data-camera': 'on' }, video, level);
  const end = meter(() => media.track('audio'), bar);
  const fill = async () => body.replaceChildren(
    make('div', { class: 'field' }, make('label', { for: 'choose-source' }, t('source')), sourceOf(media, fill)),
    ...(media.source === 'devices' ? [await choice('camera', 'videoinput'), await choice('mic', 'audioinput')] : []),
    ...('setSinkId' in HTMLMediaElement.prototype ? [await choice('speaker', 'audiooutput')] : []));
  const choice = async (what, kind) => {
    const devices = await devicesOf(kind);
    const current = what === 'speaker' ? recall('speaker') : media.device(what);
    const select = make('select', {
      id: `choose-${what}`,
      onchange: async () => {
        problem.hidden = true;
        try {
          if (what !== 'speaker') await media.choose(what, select.value);
          else {
            await listen(select.value);
            keep('speaker', select.value);
          }
        } catch {
          problem.textContent = t('device-failed');
          problem.hidden = false;
        }
      },
    }, ...devices.map((device) => make('option', { value: device.deviceId, selected: device.deviceId === current }, device.label || t('this-device'))),
    ...(devices.length === 0 ? [make('option', { value: '' }, t('none'))] : []));
    select.disabled = devices.length === 0;
    return make('div', { class: 'field' }, make('label', { for: select.id }, t({ camera: 'camera', mic: 'microphone', speaker: 'loudspeaker' }[what])), select);
  };
  open(t('settings-title'), [picture, body, problem], () => {
    end();
    video.srcObject = null;
  });
  await fill();
}

function sourceOf(media, changed) {
  const select = make('select', {
    id: 'choose-source',
    onchange: async () => {
      await media.open(select.value);
      await changed();
      $('choose-source').focus();
    },
  }, make('option', { value: 'devices' }, t('from-devices')), make('option', { value: 'generated' }, t('generated')));
  select.value = media.source;
  return select;
}

/** Whether single keys are shortcuts. */
export const hasShortcuts = () => recall('shortcuts') !== 'off';

/** What does not fit on the bar: settings, look, language, shortcuts, and facts about the connection. */
export function openMore({ desk, media, switchTheme }) {
  const { client, room } = desk;
  const button = (id, symbol, words, act) => make('button', { type: 'button', id, onclick: act }, icon(symbol), words);
  const check = make('input', { type: 'checkbox', id: 'shortcuts', onchange: () => keep('shortcuts', check.checked ? 'on' : 'off') });
  check.checked = hasShortcuts();
  const facts = [[t('fact-room'), room.name], [t('fact-people'), t('of-seats', { count: room.peers.size, seats: room.capacity })], [t('gateway'), client.node]];
  open(t('more'), [
    make('div', { class: 'actions' },
      button('more-settings', 'settings', t('settings-title'), () => openSettings({ media, listen: (id) => desk.listenWith(id) })),
      button('more-theme', 'sun', t('theme'), switchTheme),
      button('more-language', 'globe', document.documentElement.lang === 'en' ? '中文' : 'English', async () => {
        await switchLanguage();
        openMore({ desk, media, switchTheme });
      })),
    make('section', { 'aria-labelledby': 'shortcuts-title' },
      make('h3', { id: 'shortcuts-title' }, t('shortcuts')),
      make('label', { class: 'check' }, check, make('span', {}, t('shortcuts-on'))),
      make('dl', { class: 'keys' }, ...KEYS.map((key) => make('div', {}, make('dt', {}, make('kbd', {}, key.toUpperCase())), make('dd', {}, t(`key-${key}`)))),
        make('div', {}, make('dt', {}, make('kbd', {}, 'Esc')), make('dd', {}, t('key-esc'))))),
    make('section', { 'aria-labelledby': 'facts-title' },
      make('h3', { id: 'facts-title' }, t('about-call')),
      make('dl', { class: 'facts', id: 'facts' }, ...facts.flatMap(([what, value]) => [make('dt', {}, what), make('dd', {}, value)]))),
  ]);
}
