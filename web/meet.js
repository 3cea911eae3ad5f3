// The meeting page: the door with its preview, the meeting for up to six, and what to tell people who are not in it.

import { $, complain, fillForm, given, initials, keep, problemWith, randomRoom, recall, remember, roomName } from './basics.js';
import { meter, OwnMedia } from './meet-media.js';
import { inEveryLanguage, startLanguage, switchLanguage, t, why } from './meet-words.js';

/** Seats of a meeting: each more is one more picture to send for everybody. */
const SEATS = 6;

/** What is fetched when somebody begins to fill in the form, or opens a dialog: the door opens sooner without it. */
const fetchMeeting = () => import('./meet-desk.js');
const dialogs = () => import('./meet-dialogs.js');

/** How long one line of news stays, in milliseconds. */
const NEWS = 5_000;

/** Rooms of this name are moderated in the demo app: who comes waits at the door. */
const DOOR = 'door.';

/** Own media, and what of it the others are to get. */
const media = new OwnMedia(() => (desk ? $('name').value.trim() : ''));
const wanted = { mic: true, camera: true };

/** The meeting that one is in, or null. @type {import('./meet-desk.js').Desk | null} */
let desk = null;
/** Gives a join up while it is under way. */
let joining = null;
let endMeter = () => {};

startTheme();
await startLanguage();
start();

function start() {
  fillForm();
  $('door').checked = $('room').value.startsWith(DOOR);
  media.addEventListener('note', showNote);
  media.addEventListener('track', showPreview);
  inEveryLanguage(() => {
    document.title = `${desk ? desk.room.name : t('join-title')} · Signalbox`;
    showNote();
    showPreview();
  });
  $('form').addEventListener('submit', (event) => {
    event.preventDefault();
    join();
  });
  $('cancel').addEventListener('click', () => joining?.abort());
  $('name').addEventListener('input', showPreview);
  $('preview-mic').addEventListener('click', () => toggle('mic'));
  $('preview-camera').addEventListener('click', () => toggle('camera'));
  for (const button of document.querySelectorAll('.switch-language')) button.addEventListener('click', switchLanguage);
  for (const button of document.querySelectorAll('.switch-theme')) button.addEventListener('click', switchTheme);
  for (const button of document.querySelectorAll('.open-settings')) button.addEventListener('click', async () => (await dialogs()).openSettings({ media, listen: () => {} }));
  for (const id of ['invite', 'alone-copy']) $(id).addEventListener('click', async () => (await dialogs()).invite(desk.room.name));
  $('more').addEventListener('click', async () => (await dialogs()).openMore({ desk, media, switchTheme }));
  $('form').addEventListener('focusin', () => fetchMeeting().catch(() => {}), { once: true });
  addEventListener('pagehide', () => desk?.client.close());
  show('entrance');
  media.open(given.media === 'generated' ? 'generated' : 'devices');
}

/** From the door into the meeting, or to what is to be said about it. */
async function join() {
  if (joining) return;
  const name = $('name').value.trim();
  const typed = roomName($('room').value).slice($('room').value.startsWith(DOOR) ? DOOR.length : 0);
  const room = ($('door').checked ? DOOR : '') + typed;
  const problem = problemKey(name, typed);
  complain(problem && t(problem), problem && (problem === 'no-name' ? $('name') : $('room')));
  if (problem) return;
  joining = new AbortController();
  busy(true);
  say(t('connecting'), 'busy');
  media.resume();
  const { signal } = joining;
  let client;
  const noAnswer = ({ detail }) => {
    if (detail.state === 'connecting' && detail.error) say(t('no-answer'), 'busy');
  };
  try {
    const { Desk, joinWith, newClient } = await fetchMeeting();
    signal.throwIfAborted();
    client = newClient(name);
    client.addEventListener('state', noAnswer);
    await client.connect({ signal });
    const seat = await takeSeat((options) => joinWith(client, room, options), room, signal);
    client.removeEventListener('state', noAnswer);
    remember({ name, room });
    enter(new Desk({ client, room: seat, media, wanted, say, toggle, end }));
  } catch (error) {
    client?.close();
    say('');
    refused(error, room);
  } finally {
    joining = null;
    busy(false);
  }
}

function problemKey(name, room) {
  if (!name) return 'no-name';
  if (!room) return 'no-room';
  return problemWith({ name, room }) && 'bad-room';
}

/** A seat, at once or, where a moderator lets people in or every seat is taken and one wants to, after a wait. */
async function takeSeat(take, room, signal) {
  const options = { state: ownState(), capacity: SEATS, signal };
  try {
    return await take(options);
  } catch (error) {
    if (error.code === 'room_full') await offerToWait(room, signal);
    else if (error.code !== 'room_locked') throw error;
  }
  const onPosition = ({ position, count, reason }) => {
    say('');
    if (reason === 'moderated') notice('door', 'door', { room });
    else notice('queue', 'people', { room, position, count });
    actions(['stop-waiting', () => joining?.abort()]);
  };
  return take({ ...options, wait: true, onPosition });
}

/** The room is full: ends when somebody wants to wait, and rejects when not. */
function offerToWait(room, signal) {
  say('');
  notice('full', 'people', { room });
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    actions(['wait', resolve], ['another-meeting', () => {
      joining?.abort();
      $('room').value = randomRoom();
      $('door').checked = false;
    }], ['back', () => joining?.abort()]);
  });
}

/** What is said of a join that came to nothing. */
function refused(error, room) {
  const part = { room_locked: ['locked', 'lock'], denied: ['denied', 'door'], closed: ['closed', 'door'], expired: ['expired', 'door'] }[error.code];
  if (part && error.name !== 'AbortError') {
    notice(part[0], part[1], { room });
    actions(['again', join], ['back', () => show('entrance')]);
    return;
  }
  show('entrance');
  if (error.name !== 'AbortError') complain(why(error));
}

/** From the door into the meeting. */
function enter(meeting) {
  say('');
  desk = meeting;
  document.title = `${desk.room.name} · Signalbox`;
  endMeter();
  show('meeting');
  desk.open();
  $('meeting-title').focus();
}

/** Out of the meeting: why, and what one can do about it. */
function end({ reason, error }) {
  const { client, room } = desk;
  desk = null;
  client.close();
  document.title = `${t('join-title')} · Signalbox`;
  const symbol = { left: 'phone-down', kicked: 'kick', closed: 'door', replaced: 'people', expired: 'door' }[reason];
  notice(symbol ? reason : 'lost', symbol ?? 'plug', { room: room.name });
  if (!symbol && error) $('notice-text').textContent += ` ${why(error)}`;
  actions(...(reason === 'closed' || reason === 'expired' ? [] : [['come-back', join]]), ['back', () => show('entrance')]);
}

/** What the others are told of oneself. */
function ownState() {
  return { mic: wanted.mic && media.track('audio') !== null, camera: wanted.camera && media.track('video') !== null };
}

/** Switches microphone or camera. */
function toggle(what) {
  wanted[what] = !wanted[what];
  for (const [key, kind] of [['mic', 'audio'], ['camera', 'video']]) {
    const track = media.track(kind);
    if (track) track.enabled = wanted[key];
  }
  showPreview();
  desk?.tellState();
}

function showNote() {
  $('media-note').textContent = media.note && t(media.note);
}

function showPreview() {
  if (desk) return;
  const [video, audio] = [media.track('video'), media.track('audio')];
  if ($('preview').srcObject !== media.stream) $('preview').srcObject = media.stream;
  $('preview').classList.toggle('mirror', media.source === 'devices');
  $('preview-tile').dataset.camera = video && wanted.camera ? 'on' : 'off';
  $('preview-face').textContent = initials($('name').value.trim() || '?');
  for (const [id, track, on, symbol] of [['preview-mic', audio, wanted.mic, 'mic'], ['preview-camera', video, wanted.camera, 'camera']]) {
    const button = $(id);
    button.disabled = !track;
    button.setAttribute('aria-pressed', String(!on || !track));
    button.querySelector('use').setAttribute('href', `icons.svg#${on && track ? symbol : `${symbol}-off`}`);
  }
  for (const track of [video, audio]) if (track) track.enabled = track.kind === 'video' ? wanted.camera : wanted.mic;
}

/** Shows one of the page's three parts. */
function show(part) {
  for (const id of ['entrance', 'notice', 'meeting']) $(id).hidden = id !== part;
  document.body.classList.toggle('inside', part === 'meeting');
  endMeter();
  if (part === 'entrance') {
    endMeter = meter(() => (wanted.mic ? media.track('audio') : null), $('preview-level'));
    showPreview();
  }
}

/** Shows what there is to say to somebody who is not in the meeting. */
function notice(key, symbol, values) {
  const isNew = $('notice').dataset.key !== key || $('notice').hidden;
  $('notice').dataset.key = key;
  $('notice-title').textContent = t(`${key}-title`);
  $('notice-text').textContent = t(`${key}-text`, values);
  $('notice-icon').setAttribute('href', `icons.svg#${symbol}`);
  if (!isNew) return;
  show('notice');
  $('notice-title').focus();
}

/** What one can do about it: [key of the words, what it does], the first one is the one that most want. */
function actions(...all) {
  const keys = all.map(([key]) => key).join();
  if ($('notice-actions').dataset.keys === keys && !$('notice').hidden && keys === 'stop-waiting') return;
  $('notice-actions').dataset.keys = keys;
  $('notice-actions').replaceChildren(...all.map(([key, act], i) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.id = `do-${key}`;
    button.className = i === 0 ? 'primary' : '';
    button.dataset.t = key;
    button.textContent = t(key);
    button.addEventListener('click', act);
    return button;
  }));
}

function busy(isBusy) {
  $('cancel').hidden = !isBusy;
  for (const element of $('form').elements) if (element.id !== 'cancel') element.disabled = isBusy;
}

let fading;
/** One line of news: kind is quiet, busy or bad. What is busy stays until there is something else. */
function say(text, kind = 'quiet') {
  const news = $('news');
  if (news.textContent !== text) news.textContent = text;
  news.dataset.kind = kind;
  clearTimeout(fading);
  if (text && kind !== 'busy') fading = setTimeout(() => (news.textContent = ''), NEWS);
}

/** Light or dark: as the system wants it, until somebody says otherwise. */
function startTheme() {
  const chosen = recall('theme');
  if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen;
  showTheme();
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', showTheme);
}

function isDark() {
  const { theme } = document.documentElement.dataset;
  return theme ? theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
}

function switchTheme() {
  document.documentElement.dataset.theme = isDark() ? 'light' : 'dark';
  keep('theme', document.documentElement.dataset.theme);
  showTheme();
}

function showTheme() {
  for (const use of document.querySelectorAll('.switch-theme use')) use.setAttribute('href', `icons.svg#${isDark() ? 'sun' : 'moon'}`);
}
