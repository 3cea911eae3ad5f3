// What the two call pages share: the entrance with its preview, and what the stage shows of a call.

import { openMedia } from './media.js';
import {
  $, complain, copyLinks, fillForm, given, icon, initials, nameOf, personLine, problemWith, randomRoom, roomName, showLamp,
} from './page.js';

/** A call has two seats. */
export const SEATS = 2;

/** What the words of RTCPeerConnectionState mean to people, as lamps. */
const LAMPS = { connected: 'on', new: 'busy', connecting: 'busy', disconnected: 'busy', failed: 'off', closed: 'off' };

/** One's own picture and sound, null while they are opened, and what of it the others are to get. */
export const own = { media: null, wanted: { mic: true, camera: true, hand: false } };

/** Counts openings of media, so that the last choice wins. */
let mediaTurn = 0;

/**
 * Makes the page work that one comes in by.
 *
 * @param {{join: () => void, cancel: () => void, hangUp: () => void, toggle: (what: string) => void, room: () => string | undefined}} actions
 */
export function open({ join, cancel, hangUp, toggle, room }) {
  fillForm();
  $('media').value = given.media === 'generated' ? 'generated' : 'devices';
  copyLinks(() => room() ?? roomName($('room').value));
  show('entrance');
  $('media').addEventListener('change', preview);
  $('form').addEventListener('submit', (event) => {
    event.preventDefault();
    join();
  });
  $('cancel').addEventListener('click', cancel);
  $('full-again').addEventListener('click', join);
  $('full-back').addEventListener('click', () => show('entrance'));
  $('full-new').addEventListener('click', () => {
    $('room').value = randomRoom();
    join();
  });
  $('leave').addEventListener('click', hangUp);
  for (const what of ['mic', 'camera', 'hand']) $(what).addEventListener('click', () => toggle(what));
  preview();
}

/** Opens the chosen media and shows it. */
async function preview() {
  const turn = ++mediaTurn;
  own.media?.stop();
  own.media = null;
  $('preview-note').textContent = 'Getting your picture…';
  const opened = await openMedia($('media').value, () => $('name').value.trim());
  if (turn !== mediaTurn) {
    opened.stop();
    return;
  }
  own.media = opened;
  $('media').value = opened.kind;
  $('preview').srcObject = opened.stream;
  // People know their own face from the mirror; a generated picture has text.
  for (const video of [$('preview'), $('local-video')]) video.classList.toggle('mirror', opened.kind === 'devices');
  $('preview-note').textContent = opened.note;
}

/** Waits until one's media are open. */
export async function mediaReady(signal) {
  while (!own.media) {
    signal.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  own.media.resume?.();
}

/** Name and room as typed; null, and a complaint, if something is wrong with them. */
export function readForm() {
  const name = $('name').value.trim();
  const room = roomName($('room').value);
  const problem = problemWith({ name, room });
  complain(problem, problem && (name ? $('room') : $('name')));
  if (problem) {
    show('entrance');
    return null;
  }
  $('room').value = room;
  return { name, room };
}

/** Makes the form wait while a join is under way. */
export function busy(isBusy) {
  $('cancel').hidden = !isBusy;
  for (const element of $('form').elements) {
    if (element.id !== 'cancel' && !element.classList.contains('copy-link')) element.disabled = isBusy;
  }
}

/** Shows one of the page's three parts. */
export function show(part) {
  for (const id of ['entrance', 'full', 'stage']) $(id).hidden = id !== part;
}

/** Shows that there is no seat. */
export function showFull(room) {
  $('full-room').textContent = room;
  show('full');
  $('full-title').focus();
}

/** Shows the stage, with nobody else on it yet. */
export function showStage(name, room) {
  $('local-video').srcObject = own.media.stream;
  $('local-face').textContent = initials(name);
  $('fact-room').textContent = room;
  $('waiting-title').textContent = 'Nobody else is here yet';
  show('stage');
  $('mic').focus();
}

/** Back to the entrance; everything is switched on again. */
export function clearStage() {
  $('remote-video').srcObject = null;
  $('local-video').srcObject = null;
  Object.assign(own.wanted, { mic: true, camera: true, hand: false });
  applyTracks({});
  show('entrance');
  $('join').focus();
}

/** What the others are told. */
export function ownState() {
  const { mic, camera, hand } = own.wanted;
  return { mic, camera, hand: hand || null };
}

/** Makes one's tracks as wanted, unless a moderator has muted them. */
function applyTracks({ mutedAudio, mutedVideo }) {
  for (const track of own.media?.stream.getTracks() ?? []) {
    track.enabled = track.kind === 'audio' ? own.wanted.mic && !mutedAudio : own.wanted.camera && !mutedVideo;
  }
}

/**
 * Shows who is there, and what can be seen and heard of them.
 *
 * @param {{self: object, peers: Iterable<object>, capacity: number}} room peers in the order of joining
 */
export function showRoom({ self, peers, capacity }) {
  applyTracks(self.state);
  const mine = looks(self, own.wanted);
  button('mic', !mine.mic, mine.mic ? 'mic' : 'mic-off', self.state.mutedAudio);
  button('camera', !mine.camera, mine.camera ? 'camera' : 'camera-off', self.state.mutedVideo);
  button('hand', mine.hand, 'hand', false);
  $('local').dataset.camera = mine.camera ? 'on' : 'off';

  const all = [...peers];
  $('count').textContent = `${all.length} of ${capacity}`;
  $('people').replaceChildren(...all.map((peer) => {
    const isSelf = peer.id === self.id;
    return personLine(peer, isSelf, notes(peer, isSelf ? mine : looks(peer, peer.state)));
  }));

  const other = all.find(({ id }) => id !== self.id);
  $('waiting').hidden = other !== undefined;
  $('remote-caption').hidden = other === undefined;
  if (other) {
    const { mic, camera, hand } = looks(other, other.state);
    $('remote').dataset.camera = camera ? 'on' : 'off';
    $('remote-face').textContent = initials(nameOf(other));
    $('remote-caption').replaceChildren(nameOf(other), ...(hand ? [icon('hand')] : []), ...(mic ? [] : [icon('mic-off'), 'muted']), other.away ? ' · reconnecting' : '');
  } else {
    $('remote').dataset.camera = 'on';
    $('remote-video').srcObject = null;
  }
}

/** What can be seen and heard of somebody. */
function looks({ state }, { mic, camera, hand }) {
  return { mic: mic !== false && !state.mutedAudio, camera: camera !== false && !state.mutedVideo, hand: hand === true };
}

/** What the list says of somebody. */
function notes(peer, { mic, camera, hand }) {
  return [
    ...(hand ? [['hand', 'hand raised']] : []),
    ...(mic ? [] : [['mic-off', 'muted']]),
    ...(camera ? [] : [['camera-off', 'camera off']]),
    ...(peer.away ? [['', 'away']] : []),
  ];
}

/** Shows what comes from the other side. */
export function showTrack({ streams }) {
  const video = $('remote-video');
  if (video.srcObject !== streams[0]) video.srcObject = streams[0];
}

/** Shows how the way to the other side is: a PeerConnection, or undefined. */
export function showConnection(connection) {
  const state = connection?.state ?? 'nobody to talk to';
  showLamp('connection', LAMPS[state] ?? 'off', state);
  $('ice').textContent = connection?.pc.iceConnectionState ?? '–';
}

/** Shows a switch. Its label says what it does when pressed, and stays. */
function button(id, pressed, symbol, isLocked) {
  const element = $(id);
  element.setAttribute('aria-pressed', String(pressed));
  element.disabled = Boolean(isLocked);
  element.title = isLocked ? 'A moderator has switched this off' : '';
  element.querySelector('use').setAttribute('href', `icons.svg#${symbol}`);
}
