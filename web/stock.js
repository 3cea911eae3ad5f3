// The call page on a stock socket.io client: the events and the states of the usual tutorial for two, whatever gateway
// and whatever client the other side has.
//
// init -> joined on `joined`; joined_conn once the other side is there, by `otherjoin` or because it was there first;
// joined_unbind on its `bye`; leaved on `leaved` and `full`.

import { $, choose, chosen, complain, given, nameOf, remember, say, showSignaling, words } from './page.js';
import { PeerConnection, SignalboxError } from './sdk.js';
import {
  busy, clearStage, mediaReady, open, own, ownState, readForm, SEATS, show, showConnection, showFull, showRoom, showStage, showTrack,
} from './stage.js';
import { StockClient } from './stock-client.js';

/**
 * How long the side that was here first waits for the newcomer's offer before it makes its own, in milliseconds: as in
 * the Signalbox client, so that no call begins with two offers at once.
 */
const FIRST_OFFER = 1_000;

/** State keys that moderators write, by the kind of media. */
const MUTED = { audio: 'mutedAudio', video: 'mutedVideo' };

/** The call that one is in or enters, or null: see {@link enter}. */
let session = null;
/** Gives a join up while it is under way. */
let joining = null;

choose('client', given.client);
if ([...$('transports').options].some(({ value }) => value === given.transport)) $('transports').value = given.transport;
open({ join, cancel: () => joining?.abort(), hangUp, toggle, room: () => session?.room });
addEventListener('pagehide', () => session?.client.close());

async function join() {
  if (joining) return;
  const typed = readForm();
  if (!typed) return;
  const { name, room } = typed;
  const [generation, transport] = [chosen('client'), $('transports').value];
  joining = new AbortController();
  busy(true);
  say('Connecting…', 'busy');
  const client = new StockClient({ generation, transport, name });
  try {
    const { signal } = joining;
    showSignaling(client, 'You are back.');
    await mediaReady(signal);
    await client.connect({ signal });
    await enter(client, room, name);
    remember({ name, room, client: generation, transport });
  } catch (error) {
    session = null;
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

/** Asks for a seat, and goes from the entrance to the stage with it. */
async function enter(client, room, name) {
  session = {
    client, room,
    state: 'init',
    self: { id: '', name, state: {}, away: false },
    /** The other side, once it is there: {peer, connection, …}. */
    other: null,
    /** Ends with the answer to join: nothing that the other side sends is looked at before. */
    seated: promised(),
    /** What the server said before it took the seat. */
    closing: null,
  };
  const { socket } = client;
  const on = (event, handle) => socket.on(event, (...args) => {
    if (session?.client === client && args[0] === room) handle(...args);
  });
  on('joined', (room, id) => {
    session.self.id = id;
    setState('joined');
  });
  on('full', () => {
    setState('leaved');
    if (!joining) say('Your seat is not free again yet. Waiting for it…', 'busy');
  });
  on('otherjoin', (room, id) => {
    meet(id, false);
    greet();
  });
  on('message', (room, data) => receive(data));
  on('control', (room, event) => control(event));
  on('bye', (room, id) => bye(id));
  on('leaved', () => {
    setState('leaved');
    end(session.closing ?? { reason: 'left' });
  });
  client.addEventListener('state', ({ detail }) => {
    if (session?.client !== client) return;
    if (detail.state === 'reconnecting') {
      setState('init');
      if (!joining) session.seated = promised();
    } else if (detail.state === 'connected') {
      if (socket.recovered) goOn();
      else part();
    } else if (detail.state === 'closed') {
      if (joining) session.seated.reject(detail.error);
      else end({ reason: detail.error?.code === 'closed' ? 'left' : 'lost', error: detail.error });
    }
  });
  client.addEventListener('transport', showClient);

  await sitDown();
  showStage(name, room);
  showClient();
  say('You are in the room. Nobody else is here yet.', 'good');
  if (session.other) greet();
  update();
}

/** Takes a seat, and after a lost connection another one: to the other side one is somebody new then. */
async function sitDown() {
  const here = session;
  here.client.helper.join(here.room, (answer) => {
    if (session !== here) return;
    if (!answer.ok) {
      const error = SignalboxError.fromReply(answer.error);
      if (joining) here.seated.reject(error);
      else end({ reason: 'lost', error });
      return;
    }
    // Whoever comes later has its otherjoin.
    for (const id of answer.others) meet(id, true);
    here.seated.resolve();
    // Signalbox clients are told what one shows, as far as it is not everything.
    const { mic, camera, hand } = own.wanted;
    if (!mic || !camera || hand) tellState();
    update();
  });
  await here.seated.promise;
}

/** After a lost connection that the gateway has made good: the same seat, the same other side. */
function goOn() {
  setState(session.other ? 'joined_conn' : 'joined');
  session.seated.resolve();
  update();
}

/** A promise, and how to settle it. */
function promised() {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  made.promise.catch(() => {}); // whoever waits is told
  return made;
}

/**
 * The other side is there. The newcomer makes the first offer, and is the polite one.
 *
 * @param {string} id
 * @param {boolean} polite whether one is the newcomer
 */
function meet(id, polite) {
  if (session.other?.peer.id === id) return;
  part();
  const { client, room } = session;
  const connection = new PeerConnection({
    polite,
    send: ({ description, candidate }) => send(description ? { description: description.toJSON() } : { candidate }),
    report: () => {}, // the helper does
    beforeAnswer: () => sendTracks(other),
    configuration: client.helper.configuration(room),
  });
  client.helper.watch(connection.pc, room, id);
  const other = { peer: { id, name: '', state: {}, away: false }, connection, sends: false };
  session.other = other;
  connection.addEventListener('track', ({ detail }) => showTrack(detail));
  connection.addEventListener('connection', update);
  connection.addEventListener('error', ({ detail }) => say(`The picture could not be set up: ${words(detail.error)}`, 'bad'));
  connection.pc.oniceconnectionstatechange = update;
  setState('joined_conn');
  // The classic events tell ids alone.
  send({ name: session.self.name, state: ownState() });
  if (polite) sendTracks(other);
  else other.waiting = setTimeout(() => sendTracks(other), FIRST_OFFER);
  update();
}

function sendTracks(other) {
  if (other.sends) return;
  other.sends = true;
  clearTimeout(other.waiting);
  for (const track of own.media.stream.getTracks()) other.connection.addTrack(track, [own.media.stream]);
}

/** Ends the connection to the other side. */
function part() {
  const { other } = session;
  if (!other) return;
  session.other = null;
  clearTimeout(other.waiting);
  other.connection.close();
}

/** What the other side sends: a description, a candidate, or who it is. */
async function receive(data) {
  await session.seated.promise;
  const other = session?.other;
  if (!other || typeof data !== 'object' || data === null) return;
  if (data.description || data.candidate) {
    other.connection.receive(data);
    return;
  }
  if (typeof data.name === 'string') {
    const isNew = !other.peer.name;
    change({ name: data.name.slice(0, 60) });
    if (isNew) greet();
  }
  if (typeof data.state === 'object') change({ state: { ...other.peer.state, ...data.state } });
}

/** What Signalbox clients are told beside the classic events. */
function control(event) {
  const { self, other } = session;
  const isOther = event.peer !== undefined && event.peer === other?.peer.id;
  switch (event.type) {
    case 'state':
      if (isOther) change({ state: { ...other.peer.state, ...event.state } });
      break;
    case 'away-peer':
    case 'back-peer':
      if (isOther) change({ away: event.type === 'away-peer' });
      break;
    case 'control': {
      const key = MUTED[event.kind];
      for (const peer of key ? [self, ...(other ? [other.peer] : [])] : []) {
        if (event.to === undefined ? peer.id !== event.by : peer.id === event.to) peer.state = { ...peer.state, [key]: event.action === 'mute' };
      }
      update();
      break;
    }
    case 'closed':
      session.closing = { reason: event.reason };
      break;
  }
}

function greet() {
  const { peer, connection } = session.other;
  say(connection.polite ? `You are in a call with ${nameOf(peer)}.` : `${nameOf(peer)} is here.`, 'good');
}

function bye(id) {
  const { other } = session;
  if (other?.peer.id !== id) return;
  part();
  setState('joined_unbind');
  say(`${nameOf(other.peer)} has left the call.`);
  $('waiting-title').textContent = `${nameOf(other.peer)} has left`;
  update();
}

function change(changes) {
  Object.assign(session.other.peer, changes);
  update();
}

async function send(data) {
  try {
    await session.client.ask('message', session.room, data);
  } catch (error) {
    // A lost connection is told by itself.
    if (error.code !== 'disconnected' && error.code !== 'closed') say(`The picture could not be set up: ${words(error)}`, 'bad');
  }
}

async function hangUp() {
  const { client, room } = session;
  try {
    await client.ask('leave', room);
  } catch {
    // Without a connection there is no seat either.
  }
  if (session?.client === client) end({ reason: 'left' });
}

/** Back to the entrance, with the reason if it was not one's own wish. */
function end({ reason, error }) {
  const { client } = session;
  part();
  session = null;
  client.close();
  clearStage();
  if (reason === 'left') say('You have left the call.');
  else if (reason === 'kicked') say('A moderator has removed you from the call.', 'bad');
  else say(`The call has ended. ${error ? words(error) : ''}`, 'bad');
}

/** Switches microphone, camera or the raised hand, and tells the others. */
function toggle(what) {
  own.wanted[what] = !own.wanted[what];
  update();
  tellState();
}

async function tellState() {
  try {
    await session.client.ask('control', session.room, { type: 'state', state: ownState() });
  } catch (error) {
    // What is shown to the others is told again with the seat; one's own tracks are as wanted already.
    if (error.code !== 'disconnected' && error.code !== 'closed') say(words(error), 'bad');
  }
}

function setState(state) {
  session.state = state;
  $('state').textContent = state;
}

function showClient() {
  if (!session) return;
  $('client').textContent = session.client.version;
  $('transport').textContent = session.client.transport;
}

function update() {
  if (!session) return;
  const { self, other } = session;
  showRoom({ self, peers: other ? [self, other.peer] : [self], capacity: SEATS });
  showConnection(other?.connection);
}
