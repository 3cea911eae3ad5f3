// The meeting's chat: what was written before one came, and what is written now.

import { make } from './meet-dialogs.js';
import { inEveryLanguage, locale, t, why } from './meet-words.js';
import { $, icon, nameOf } from './basics.js';

const TOPIC = 'chat';

/** Messages of a page of what was written before. */
const PAGE = 40;

/**
 * @param {{desk: object, room: import('./sdk.js').Room, say: (text: string, kind?: string) => void, signal: AbortSignal, close: () => void}} parts
 */
export function open(parts) {
  return new Chat(parts);
}

class Chat {
  #room;
  #say;
  #isOpen = false;
  #unread = 0;
  #list = make('ol', { class: 'lines', id: 'lines' });
  #text = make('textarea', { id: 'text', rows: 1, maxlength: 4000 });
  /** Numbers of the messages that are shown. */
  #known = new Set();
  /** Pages of what was written before, the newest first. */
  #older = null;

  constructor({ room, say, signal, close }) {
    this.#room = room;
    this.#say = say;
    const leave = inEveryLanguage(() => this.#build(close));
    signal.addEventListener('abort', leave);
    room.addEventListener('message', ({ detail }) => {
      if (detail.topic !== TOPIC || !detail.kept) return;
      const { seq, from, peer, time, data } = detail;
      this.#add({ seq, time, data, own: from === room.self.id, name: nameOf(peer) });
      this.#tell(from === room.self.id, nameOf(peer), data);
    }, { signal });
    room.addEventListener('cleared', ({ detail }) => detail.topic === TOPIC && this.#clear(), { signal });
    room.addEventListener('undone', ({ detail }) => detail.topic === TOPIC && this.#line(detail.of)?.remove(), { signal });
    room.addEventListener('resync', () => this.#load(), { signal });
    this.#load();
  }

  /** The panel was opened, or closed. */
  shown(isOpen) {
    this.#isOpen = isOpen;
    if (!isOpen) return;
    this.#unread = 0;
    $('unread').hidden = true;
    this.#list.parentElement.scrollTop = this.#list.parentElement.scrollHeight;
    this.#text.focus();
  }

  #build(close) {
    const written = this.#text.value;
    const older = make('button', { type: 'button', class: 'plain', id: 'older', hidden: true, onclick: () => this.#more() }, t('chat-older'));
    const body = make('div', { class: 'panel-body talk-body', tabindex: 0, role: 'log', 'aria-label': t('chat-log') }, older,
      make('p', { class: 'hint', id: 'chat-empty' }, t('chat-empty')), this.#list);
    const form = make('form', {
      class: 'writing',
      onsubmit: (event) => {
        event.preventDefault();
        this.#send();
      },
    }, this.#text, make('button', { type: 'submit', class: 'primary', id: 'send', 'aria-label': t('send'), title: t('send') }, icon('send')));
    this.#text.setAttribute('aria-label', t('chat-text'));
    this.#text.placeholder = t('chat-placeholder');
    this.#text.value = written;
    this.#text.onkeydown = (event) => {
      // While an input method composes, Enter takes its suggestion.
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#send();
    };
    this.#text.oninput = () => {
      this.#text.style.height = 'auto';
      this.#text.style.height = `${Math.min(this.#text.scrollHeight + 2, 140)}px`;
    };
    $('chat-panel').replaceChildren(
      make('div', { class: 'panel-head' }, make('h2', { id: 'chat-title' }, t('chat-title')),
        make('button', { type: 'button', class: 'plain', id: 'close-chat', 'aria-label': t('close'), title: t('close'), onclick: close }, icon('close'))),
      body, form);
    this.#showOlder(false);
  }

  /** What was written before one came, the newest page of it. */
  async #load() {
    try {
      this.#older = this.#room.history(TOPIC, { limit: PAGE });
      await this.#more();
    } catch (error) {
      if (error.code !== 'closed') this.#say(why(error), 'bad');
    }
  }

  async #more() {
    const { value, done } = await this.#older.next();
    const messages = done ? [] : value.messages;
    for (const message of messages) this.#add({ ...message, own: message.from === this.#room.self?.id, name: message.name || t('somebody') });
    this.#showOlder(messages.length === PAGE);
  }

  #showOlder(hasMore) {
    const older = $('older');
    if (older) older.hidden = !hasMore;
    const empty = $('chat-empty');
    if (empty) empty.hidden = this.#list.children.length > 0;
  }

  #line(seq) {
    return this.#list.querySelector(`[data-seq="${seq}"]`);
  }

  #clear() {
    this.#list.replaceChildren();
    this.#showOlder(false);
  }

  /** One message, at its place among the others. */
  #add({ seq, time, data, own, name }) {
    if (this.#known.has(seq) || typeof data?.text !== 'string') return;
    this.#known.add(seq);
    const body = this.#list.parentElement;
    const atEnd = body.scrollHeight - body.scrollTop - body.clientHeight < 40;
    const when = new Date(time);
    const line = make('li', { class: own ? 'said own' : 'said', 'data-seq': seq },
      make('p', { class: 'said-head' }, make('strong', {}, own ? t('you') : name), ' ',
        make('time', { datetime: when.toISOString() }, new Intl.DateTimeFormat(locale(), { hour: '2-digit', minute: '2-digit' }).format(when))),
      make('p', { class: 'said-text' }, data.text));
    const next = [...this.#list.children].find((other) => Number(other.dataset.seq) > seq);
    this.#list.insertBefore(line, next ?? null);
    $('chat-empty').hidden = true;
    if (atEnd) body.scrollTop = body.scrollHeight;
  }

  /** Where the panel is closed, a message is told and counted. */
  #tell(own, name, { text }) {
    if (own || this.#isOpen) return;
    this.#unread += 1;
    $('unread').textContent = this.#unread;
    $('unread').hidden = false;
    this.#say(t('wrote', { name, text: text.length > 120 ? `${text.slice(0, 119)}…` : text }));
  }

  async #send() {
    const text = this.#text.value.trim();
    if (!text) return;
    this.#text.value = '';
    this.#text.style.height = '';
    try {
      await this.#room.publish({ text }, { topic: TOPIC, keep: true, echo: true });
    } catch (error) {
      this.#text.value ||= text;
      this.#say(t('chat-not-sent', { why: why(error) }), 'bad');
    }
  }
}
