// The call page: an entrance with a preview, a stage for two, and what there is to know about the connection.

import { $, complain, joinWith, nameOf, newClient, remember, say, showSignaling, words } from './page.js';
import { Call } from './sdk.js';
import {
  busy, clearStage, mediaReady, open, own, ownState, readForm, SEATS, show, showConnection, showFull, showRoom, showStage, showTrack,
} from './stage.js';

/** The call that one is in, or null: {client, room, call}. */
let session = null;
/** Gives a join up while it is under way. */
let joining = null;
/** Whether the others do not know one's own state yet. */
let untold = false;

open({ join, cancel: () => joining?.abort(), hangUp, toggle, room: () => session?.room.name });
addEventListener('pagehide', () => session?.client.close());

async function join() {
  if (joining) return;
  const typed = readForm();
  if (!typed) return;
  const { name, room } = typed;
  joining = new AbortController();
  busy(true);
  say('Connecting…', 'busy');
  const client = newClient(name);
  showSignaling(client, 'You are back.');
  try {
    const { signal } = joining;
    await mediaReady(signal);
    await client.connect({ signal });
    enter(client, await joinWith(client, room, { state: ownState(), capacity: SEATS, signal }));
    remember({ name, room });
  } catch (error) {
    client.close();
    say('');
    if (error.code === 'room_full') {
      showFull(room);
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
  const call = new Call(client, room, { stream: own.media.stream });
  session = { client, room, call };
  untold = false;
  call.addEventListener('track', ({ detail }) => showTrack(detail));
  call.addEventListener('connection', ({ detail }) => {
    detail.connection.pc.oniceconnectionstatechange ??= update;
    update();
  });
  call.addEventListener('error', ({ detail }) => say(`The picture could not be set up: ${words(detail.error)}`, 'bad'));
  room.addEventListener('peer-joined', ({ detail }) => {
    introduce(detail.peer);
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
    else if (detail.status === 'joined' && untold) tell();
  });
  room.addEventListener('closed', ({ detail }) => end(detail));
  showStage(nameOf(room.self), room.name);
  const other = [...room.peers.values()].find(({ id }) => id !== room.self.id);
  if (other) introduce(other);
  say(other ? `You are in a call with ${nameOf(other)}.` : 'You are in the room. Nobody else is here yet.', 'good');
  update();
}

/** Says who one is to somebody who may be on a stock client, where seats have neither names nor states. */
function introduce(peer) {
  const { self } = session.room;
  session.room.signal(peer, { name: nameOf(self), state: self.state }).catch(() => {});
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
  clearStage();
  if (reason === 'left') say('You have left the call.');
  else if (reason === 'kicked') say('A moderator has removed you from the call.', 'bad');
  else if (reason === 'replaced') say('You have come in again elsewhere.', 'bad');
  else say(`The call has ended. ${error ? words(error) : ''}`, 'bad');
}

/** Switches microphone, camera or the raised hand, and tells the others. */
function toggle(what) {
  own.wanted[what] = !own.wanted[what];
  update();
  return tell();
}

/** Tells the others one's own state; one's own tracks are as wanted already. */
async function tell() {
  untold = false;
  try {
    await session.room.setState(ownState());
  } catch (error) {
    // Without a connection it is told when there is one again.
    if (error.retryable) untold = true;
    else if (error.code !== 'closed') say(words(error), 'bad');
  }
}

/** Shows everything that the room says. */
function update() {
  if (!session) return;
  const { room, call } = session;
  showRoom({ self: room.self, peers: room.peers.values(), capacity: room.capacity });
  const [connection] = call.connections.values();
  showConnection(connection);
}
