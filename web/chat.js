// The chat page: one room, its lines in the same order for everybody.

import {
  $, choose, chosen, complain, copyLinks, fillForm, given, joinWith, nameOf, newClient, personLine, problemWith, remember, roomName, say, showSignaling, words,
} from './page.js';
import { StockClient } from './stock-client.js';
import { StockRoom } from './stock-room.js';

/** Seats of a chat room that one makes oneself. */
const SEATS = 50;

/** Chat rooms have names of their own, so that writing takes no seat of a call in the room of the same name. */
const PREFIX = 'chat.';

/** Where the gateway takes stock clients as chats. */
const NAMESPACE = '/chat';

const TOPIC = 'chat';

/** What stock clients write is of this topic. */
const STOCK_TOPIC = 'message';

/** The room that one is in, or null: {client, room}. */
let session = null;
/** Gives a connect up while it is under way. */
let joining = null;

const time = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });

fillForm();
choose('client', given.client);
copyLinks(() => roomName($('room').value));
$('form').addEventListener('submit', (event) => {
  event.preventDefault();
  connect();
});
$('leave').addEventListener('click', () => {
  joining?.abort();
  session?.client.close();
});
$('composer').addEventListener('submit', (event) => {
  event.preventDefault();
  send();
});
$('text').addEventListener('input', grow);
$('text').addEventListener('keydown', (event) => {
  // While an input method composes, Enter takes its suggestion.
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  send();
});
addEventListener('pagehide', () => session?.client.close());

async function connect() {
  if (joining || session) return;
  const name = $('name').value.trim();
  const shown = roomName($('room').value);
  const problem = problemWith({ name, room: shown });
  complain(problem, problem && (name ? $('room') : $('name')));
  if (problem) return;
  $('room').value = shown;
  joining = new AbortController();
  showForm();
  say('Connecting…', 'busy');
  const kind = chosen('client');
  const client = kind === 'signalbox' ? newClient(name) : new StockClient({ generation: kind, namespace: NAMESPACE, transport: given.transport, name });
  showSignaling(client, 'You are back.');
  showClient(client);
  try {
    const { signal } = joining;
    await client.connect({ signal });
    enter(client, await take(client, PREFIX + shown, name, signal));
    remember({ name, room: shown, client: kind });
  } catch (error) {
    client.close();
    say('');
    if (error.name !== 'AbortError') complain(words(error));
  } finally {
    joining = null;
    showForm();
    if (session) $('text').focus();
  }
}

/** Takes a seat in a room. */
function take(client, room, name, signal) {
  if (client instanceof StockClient) return StockRoom.join(client, room, name);
  return joinWith(client, room, { capacity: SEATS, signal });
}

function enter(client, room) {
  session = { client, room };
  $('log').replaceChildren();
  room.addEventListener('message', ({ detail }) => {
    const text = readable(detail);
    if (text !== undefined) addMessage(nameOf(detail.peer), text, detail.from === room.self.id);
  });
  room.addEventListener('peer-joined', ({ detail }) => {
    addNote(`${nameOf(detail.peer)} has come in.`);
    showPeople();
  });
  room.addEventListener('peer-left', ({ detail }) => {
    addNote(`${nameOf(detail.peer)} has left.`);
    showPeople();
  });
  room.addEventListener('peer-state', showPeople);
  room.addEventListener('resync', () => {
    addNote('You were away for a moment. What was written meanwhile is not here.');
    showPeople();
  });
  room.addEventListener('status', showForm);
  room.addEventListener('closed', ({ detail }) => end(detail));
  say('');
  addNote(`You are in ${room.name.slice(PREFIX.length)}.`);
  showPeople();
}

/** The text of a message: other pages on stock clients may write a bare string. */
function readable({ topic, data }) {
  if (topic !== TOPIC && topic !== STOCK_TOPIC) return undefined;
  const text = typeof data === 'string' ? data : data?.text;
  return typeof text === 'string' ? text : undefined;
}

function end({ reason, error }) {
  const { client } = session;
  session = null;
  client.close();
  showForm();
  $('connect').focus();
  if (reason === 'left') addNote('You have left.');
  else if (reason === 'kicked') say('A moderator has removed you from the room.', 'bad');
  else if (reason === 'replaced') say('You have come in again elsewhere.', 'bad');
  else say(`You are out of the room. ${error ? words(error) : ''}`, 'bad');
}

async function send() {
  const input = $('text');
  const text = input.value.trim();
  if (!text || session?.room.status !== 'joined') return;
  input.value = '';
  grow();
  try {
    // With an echo, one's own lines stand where everybody sees them. Stock clients know no names but by such data.
    await session.room.publish({ text, name: session.room.self.name }, { topic: TOPIC, echo: true });
  } catch (error) {
    addNote(`Not sent: ${words(error)}`);
    if (!input.value) input.value = text;
    grow();
  }
}

/** One line of the log; names and texts are text, never markup. */
function addMessage(who, text, isOwn) {
  const line = document.createElement('li');
  line.className = isOwn ? 'message own' : 'message';
  const head = document.createElement('p');
  head.className = 'message-head';
  const name = document.createElement('strong');
  name.textContent = who;
  head.append(name, ' ', clock());
  const body = document.createElement('p');
  body.className = 'message-text';
  body.textContent = text;
  line.append(head, body);
  add(line);
}

function addNote(text) {
  const line = document.createElement('li');
  line.className = 'note';
  line.append(text, ' ', clock());
  add(line);
}

function add(line) {
  const log = $('log');
  $('log-empty').hidden = true;
  // Somebody who reads further up is left there.
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
  log.append(line);
  if (atEnd) log.scrollTop = log.scrollHeight;
}

function clock() {
  const element = document.createElement('time');
  const now = new Date();
  element.dateTime = now.toISOString();
  element.textContent = time.format(now);
  return element;
}

function showPeople() {
  if (!session) return;
  const { room } = session;
  $('count').textContent = String(room.peers.size);
  $('people').replaceChildren(...[...room.peers.values()].map((peer) => personLine(peer, peer.id === room.self.id, peer.away ? [['', 'away']] : [])));
}

/** Shows what the page is connected with; a stock client is not told the gateway's name. */
function showClient(client) {
  const isStock = client instanceof StockClient;
  for (const id of ['gateway-label', 'gateway']) $(id).hidden = isStock;
  for (const id of ['transport-label', 'transport']) $(id).hidden = !isStock;
  $('client').textContent = isStock ? client.version : 'Signalbox';
  client.addEventListener('transport', () => ($('transport').textContent = client.transport));
}

function showForm() {
  const isIn = session !== null;
  const isBusy = joining !== null && !isIn;
  for (const element of [$('name'), $('room'), $('dice'), $('clients')]) element.disabled = isIn || isBusy;
  $('connect').hidden = isIn;
  $('connect').disabled = isBusy;
  $('leave').hidden = !isIn && !isBusy;
  $('leave').textContent = isBusy ? 'Cancel' : 'Leave';
  $('about').hidden = !isIn;
  document.body.classList.toggle('inside', isIn);
  const canWrite = session?.room.status === 'joined';
  $('text').disabled = !isIn;
  $('send').disabled = !canWrite;
}

/** Makes the field as high as its text. */
function grow() {
  const input = $('text');
  input.rows = Math.min(6, input.value.split('\n').length);
}
