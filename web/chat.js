// The chat page: one room, its lines in the same order for everybody.

import {
  $, complain, copyLinks, fillForm, joinWith, nameOf, newClient, personLine, problemWith, remember, roomName, say, showSignaling, words,
} from './page.js';

/** Seats of a chat room that one makes oneself. */
const SEATS = 50;

/** Chat rooms have names of their own, so that writing takes no seat of a call in the room of the same name. */
const PREFIX = 'chat.';

const TOPIC = 'chat';

/** The room that one is in, or null: {client, room}. */
let session = null;
/** Gives a connect up while it is under way. */
let joining = null;

const time = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });

fillForm();
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
  const client = newClient(name);
  showSignaling(client, 'You are back.');
  try {
    const { signal } = joining;
    await client.connect({ signal });
    enter(client, await joinWith(client, PREFIX + shown, { capacity: SEATS, signal }));
    remember({ name, room: shown });
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

function enter(client, room) {
  session = { client, room };
  $('log').replaceChildren();
  room.addEventListener('message', ({ detail }) => {
    if (detail.topic === TOPIC && typeof detail.data?.text === 'string') {
      addMessage(nameOf(detail.peer), detail.data.text, detail.from === room.self.id);
    }
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
  room.addEventListener('resync', ({ detail }) => {
    if (detail.newSeat) addNote('You were away for a moment. What was written meanwhile is not here.');
    showPeople();
  });
  room.addEventListener('status', showForm);
  room.addEventListener('closed', ({ detail }) => end(detail));
  say('');
  addNote(`You are in ${room.name.slice(PREFIX.length)}.`);
  showPeople();
}

function end({ reason, error }) {
  const { client } = session;
  session = null;
  client.close();
  showForm();
  $('connect').focus();
  if (reason === 'left') addNote('You have left.');
  else if (reason === 'kicked') say('A moderator has removed you from the room.', 'bad');
  else say(`You are out of the room. ${error ? words(error) : ''}`, 'bad');
}

async function send() {
  const input = $('text');
  const text = input.value.trim();
  if (!text || session?.room.status !== 'joined') return;
  input.value = '';
  grow();
  try {
    // With an echo, one's own lines stand where everybody sees them.
    await session.room.publish({ text }, { topic: TOPIC, echo: true });
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

function showForm() {
  const isIn = session !== null;
  const isBusy = joining !== null && !isIn;
  for (const element of [$('name'), $('room'), $('dice')]) element.disabled = isIn || isBusy;
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
