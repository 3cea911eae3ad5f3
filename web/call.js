// The call page: an entrance with a preview, a stage for two, and what there is to know about the connection.

import { openMedia } from './media.js';
import {
  $, complain, copyLinks, fillForm, given, icon, initials, joinWith, nameOf, newClient, personLine, problemWith, randomRoom,
  remember, roomName, say, showLamp, showSignaling, words,
} from './page.js';
import { Call } from './sdk.js';

/** A call has two seats. */
const SEATS = 2;

/** What the words of RTCPeerConnectionState mean to people, as lamps. */
const LAMPS = { connected: 'on', new: 'busy', connecting: 'busy', disconnected: 'busy', failed: 'off', closed: 'off' };

/** Own picture and sound; null while they are opened. */
let media = null;
/** Counts openings, so that the last choice wins. */
let mediaTurn = 0;

/** The call that one is in, or null: {client, room, call}. */
let session = null;
/** Gives a join up while it is under way. */
let joining = null;

const wanted = { mic: true, camera: true, hand: false };

fillForm();
$('media').value = given.media === 'generated' ? 'generated' : 'devices';
copyLinks(() => session?.room.name ?? roomName($('room').value));
show('entrance');
$('media').addEventListener('change', preview);
$('form').addEventListener('submit', (event) => {
  event.preventDefault();
  join();
});
$('cancel').addEventListener('click', () => joining?.abort());
$('full-again').addEventListener('click', join);
$('full-back').addEventListener('click', () => show('entrance'));
$('full-new').addEventListener('click', () => {
  $('room').value = randomRoom();
  join();
});
$('leave').addEventListener('click', hangUp);
$('mic').addEventListener('click', () => toggle('mic'));
$('camera').addEventListener('click', () => toggle('camera'));
$('hand').addEventListener('click', () => toggle('hand'));
addEventListener('pagehide', () => session?.client.close());
preview();

/** Opens the chosen media and shows it. */
async function preview() {
  const turn = ++mediaTurn;
  media?.stop();
  media = null;
  $('preview-note').textContent = 'Getting your picture…';
  const opened = await openMedia($('media').value, () => $('name').value.trim());
  if (turn !== mediaTurn) {
    opened.stop();
    return;
  }
  media = opened;
  $('media').value = opened.kind;
  $('preview').srcObject = opened.stream;
  // People know their own face from the mirror; a generated picture has text.
  for (const video of [$('preview'), $('local-video')]) video.classList.toggle('mirror', opened.kind === 'devices');
  $('preview-note').textContent = opened.note;
}

async function join() {
  if (joining) return;
  const name = $('name').value.trim();
  const room = roomName($('room').value);
  const problem = problemWith({ name, room });
  complain(problem, problem && (name ? $('room') : $('name')));
  if (problem) {
    show('entrance');
    return;
  }
  $('room').value = room;
  joining = new AbortController();
  busy(true);
  say('Connecting…', 'busy');
  const client = newClient(name);
  showSignaling(client, 'You are back.');
  try {
    const { signal } = joining;
    await until(() => media, signal);
    media.resume?.();
    await client.connect({ signal });
    enter(client, await joinWith(client, room, { state: ownState(), capacity: SEATS, signal }));
    remember({ name, room });
  } catch (error) {
    client.close();
    say('');
    if (error.code === 'room_full') {
      $('full-room').textContent = room;
      show('full');
      $('full-title').focus();
    } else {
      show('entrance');
      if (error.name !== 'AbortError') complain(words(error));
    }
  } finally {
    joining = null;
    busy(false);
  }
}

/** From the entrance to the stage; in the same turn as the reply to join, so that the call misses no signal. */
function enter(client, room) {
  const call = new Call(client, room, { stream: media.stream });
  session = { client, room, call };
  $('local-video').srcObject = media.stream;
  $('local-face').textContent = initials(nameOf(room.self));
  $('fact-room').textContent = room.name;
  call.addEventListener('track', ({ detail }) => {
    const video = $('remote-video');
    if (video.srcObject !== detail.streams[0]) video.srcObject = detail.streams[0];
  });
  call.addEventListener('connection', ({ detail }) => {
    detail.connection.pc.oniceconnectionstatechange ??= showConnection;
    showConnection();
  });
  call.addEventListener('error', ({ detail }) => say(`The picture could not be set up: ${words(detail.error)}`, 'bad'));
  room.addEventListener('peer-joined', ({ detail }) => {
    say(`${nameOf(detail.peer)} is here.`, 'good');
    update();
  });
  room.addEventListener('peer-left', ({ detail }) => {
    say(`${nameOf(detail.peer)} has left the call.`);
    $('waiting-title').textContent = `${nameOf(detail.peer)} has left`;
    update();
  });
  room.addEventListener('peer-state', update);
  room.addEventListener('resync', update);
  room.addEventListener('status', ({ detail }) => {
    if (detail.status === 'rejoining') say('The connection is lost. Reconnecting…', 'busy');
  });
  room.addEventListener('closed', ({ detail }) => end(detail));
  $('waiting-title').textContent = 'Nobody else is here yet';
  show('stage');
  const [other] = others();
  say(other ? `You are in a call with ${nameOf(other)}.` : 'You are in the room. Nobody else is here yet.', 'good');
  update();
  $('mic').focus();
}

function hangUp() {
  session?.client.close();
}

/** Back to the entrance, with the reason if it was not one's own wish. */
function end({ reason, error }) {
  const { client, call } = session;
  session = null;
  call.close();
  client.close();
  $('remote-video').srcObject = null;
  $('local-video').srcObject = null;
  Object.assign(wanted, { mic: true, camera: true, hand: false });
  applyTracks();
  show('entrance');
  $('join').focus();
  if (reason === 'left') say('You have left the call.');
  else if (reason === 'kicked') say('A moderator has removed you from the call.', 'bad');
  else say(`The call has ended. ${error ? words(error) : ''}`, 'bad');
}

/** Switches microphone, camera or the raised hand, and tells the others. */
async function toggle(what) {
  wanted[what] = !wanted[what];
  update();
  try {
    await session.room.setState(ownState());
  } catch (error) {
    // What is shown to the others is told again with the seat; one's own tracks are as wanted already.
    if (!error.retryable && error.code !== 'closed') say(words(error), 'bad');
  }
}

/** What the others are told. */
function ownState() {
  return { mic: wanted.mic, camera: wanted.camera, hand: wanted.hand || null };
}

/** Makes one's tracks as wanted, unless a moderator has muted them. */
function applyTracks() {
  const { mutedAudio, mutedVideo } = session?.room.self.state ?? {};
  for (const track of media?.stream.getTracks() ?? []) {
    track.enabled = track.kind === 'audio' ? wanted.mic && !mutedAudio : wanted.camera && !mutedVideo;
  }
}

/** Shows everything that the room says. */
function update() {
  if (!session) return;
  const { room } = session;
  applyTracks();
  const self = looks(room.self, wanted);
  button('mic', !self.mic, self.mic ? 'mic' : 'mic-off', room.self.state.mutedAudio);
  button('camera', !self.camera, self.camera ? 'camera' : 'camera-off', room.self.state.mutedVideo);
  button('hand', self.hand, 'hand', false);
  $('local').dataset.camera = self.camera ? 'on' : 'off';

  $('count').textContent = `${room.peers.size} of ${room.capacity}`;
  $('people').replaceChildren(...[...room.peers.values()].map((peer) => {
    const isSelf = peer.id === room.self.id;
    return personLine(peer, isSelf, notes(peer, isSelf ? self : looks(peer, peer.state)));
  }));

  const [other] = others();
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
  showConnection();
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

function others() {
  const { room } = session;
  return [...room.peers.values()].filter(({ id }) => id !== room.self.id);
}

function showConnection() {
  if (!session) return;
  const [connection] = session.call.connections.values();
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

function busy(isBusy) {
  $('cancel').hidden = !isBusy;
  for (const element of [$('name'), $('room'), $('media'), $('dice'), $('join')]) element.disabled = isBusy;
}

/** Shows one of the page's three parts. */
function show(part) {
  for (const id of ['entrance', 'full', 'stage']) $(id).hidden = id !== part;
}

/** Waits until a value is there. */
async function until(get, signal) {
  while (!get()) {
    signal.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
