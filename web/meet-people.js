// The panel with everybody in it: who is there, who waits to come in, and what moderators may do about them.

import { ask, make } from './meet-dialogs.js';
import { label, t } from './meet-words.js';
import { $, icon, initials, nameOf } from './basics.js';

export class People {
  #desk;
  #say;
  #panel = $('people-panel');
  #parts = null;
  #language = '';

  constructor(desk, say) {
    this.#desk = desk;
    this.#say = say;
  }

  /** Shows who is there. @param {boolean} isOpen */
  show(isOpen) {
    const { room, moderates } = this.#desk;
    const waiting = [...room.queue.values()];
    const atTheDoor = waiting.filter(({ reason }) => reason === 'moderated');
    const count = moderates ? atTheDoor.length : 0;
    $('waiting-count').hidden = count === 0;
    $('waiting-count').textContent = count;
    if (!isOpen) return;
    if (!this.#parts || this.#language !== document.documentElement.lang) this.#build();
    const { seats, door, doorTitle, doorList, list, tools, all } = this.#parts;
    seats.textContent = t('of-seats', { count: room.peers.size, seats: room.capacity });
    door.hidden = waiting.length === 0;
    doorTitle.textContent = t(atTheDoor.length > 0 ? 'door-list' : 'seat-list');
    all.hidden = !moderates || atTheDoor.length === 0;
    keyed(doorList, waiting, (waiter) => this.#waiter(waiter), (line, waiter) => {
      for (const button of line.querySelectorAll('button')) button.hidden = !moderates || (button.dataset.what === 'admit' && waiter.reason === 'full');
    });
    const peers = [...room.peers.values()].sort((a, b) => Number(b.state.hand === true) - Number(a.state.hand === true) || a.order - b.order);
    keyed(list, peers, (peer) => this.#person(peer), (line, peer) => this.#fill(line, peer));
    tools.hidden = !moderates;
    for (const [what, key, symbol] of [['lock', room.locked ? 'unlock' : 'lock', 'lock'], ['spotlight', room.spotlight ? 'spotlight-off' : 'spotlight-on', 'spot']]) {
      const button = tools.querySelector(`[data-what="${what}"]`);
      button.querySelector('span').textContent = t(key);
      button.querySelector('use').setAttribute('href', `icons.svg#${symbol}`);
      button.setAttribute('aria-pressed', String(key === 'unlock' || key === 'spotlight-off'));
    }
  }

  #build() {
    this.#language = document.documentElement.lang;
    const desk = this.#desk;
    const { room } = desk;
    const button = (what, key, symbol, act, name = '') => make('button', { type: 'button', 'data-what': what, class: name, onclick: act }, icon(symbol), make('span', {}, t(key)));
    const seats = make('span', { class: 'count' });
    const all = make('button', { type: 'button', id: 'admit-all', onclick: () => desk.attempt(() => room.admitAll()) }, t('admit-all'));
    const doorTitle = make('h3', { id: 'door-title' });
    const doorList = make('ul', { class: 'people', id: 'waiting', 'aria-labelledby': 'door-title' });
    const door = make('section', { class: 'at-door' }, make('div', { class: 'panel-row' }, doorTitle, all), doorList);
    const list = make('ul', { class: 'people', id: 'people', 'aria-labelledby': 'people-title' });
    const tools = make('section', { class: 'tools-of-moderators', id: 'moderation', 'aria-labelledby': 'moderation-title' },
      make('h3', { id: 'moderation-title' }, t('moderation')),
      make('div', { class: 'grid-of-buttons' },
        button('mute-all', 'mute-all', 'mic-off', async () => {
          if (await desk.attempt(() => room.muteAll('audio')) !== undefined) this.#say(t('all-muted'));
        }),
        button('unmute-all', 'unmute-all', 'mic', () => desk.attempt(() => room.unmuteAll('audio'))),
        button('lock', 'lock', 'lock', () => desk.attempt(() => (room.locked ? room.unlock() : room.lock()))),
        button('spotlight', 'spotlight-on', 'spot', () => desk.rotate()),
        button('end', 'end-for-all', 'phone-down', async () => {
          if (await ask(t('end-question'), t('end-for-all'))) desk.attempt(() => room.end());
        }, 'warns')));
    this.#parts = { seats, door, doorTitle, doorList, list, tools, all };
    this.#panel.replaceChildren(
      make('div', { class: 'panel-head' }, make('h2', { id: 'people-title', tabindex: -1 }, t('people-title')), seats,
        make('button', { type: 'button', class: 'plain', id: 'close-people', 'aria-label': t('close'), title: t('close'), onclick: () => desk.show('people') }, icon('close'))),
      make('div', { class: 'panel-body' }, door, list, tools));
  }

  #waiter({ id, ...waiter }) {
    const { room } = this.#desk;
    const name = nameOf(waiter);
    return make('li', { 'data-key': id }, face(name), make('span', { class: 'person' }, name), make('span', { class: 'acts' },
      act('admit', 'check', 'admit-one', name, () => this.#desk.attempt(() => room.admit(id))),
      act('deny', 'close', 'deny-one', name, () => this.#desk.attempt(() => room.deny(id)))));
  }

  #person({ id, ...peer }) {
    const desk = this.#desk;
    const { room } = desk;
    const name = nameOf(peer);
    const state = (key) => room.peers.get(id)?.state[key];
    const kinds = { mute: ['audio', 'mutedAudio'], camera: ['video', 'mutedVideo'] };
    const mutes = (what) => () => desk.attempt(() => (state(kinds[what][1]) ? room.unmute(id, kinds[what][0]) : room.mute(id, kinds[what][0])));
    return make('li', { 'data-key': id }, face(name), make('span', { class: 'person' }), make('span', { class: 'badges' }), make('span', { class: 'acts' },
      act('mute', 'mic-off', 'mute-one', name, mutes('mute')),
      act('camera', 'camera-off', 'camera-off-one', name, mutes('camera')),
      act('present', 'star', 'present-one', name, () => desk.attempt(() => room.setPresenter(room.presenter === id ? null : id))),
      act('kick', 'kick', 'kick-one', name, async () => {
        if (await ask(t('kick-question', { name }), t('kick-one', { name }))) desk.attempt(() => room.kick(id));
      })));
  }

  #fill(line, peer) {
    const { room, moderates } = this.#desk;
    const own = peer.id === room.self.id;
    const name = nameOf(peer);
    line.querySelector('.person').textContent = own ? t('name-you', { name }) : name;
    line.classList.toggle('away', peer.away);
    const { mic, camera, hand, screen, mutedAudio, mutedVideo } = peer.state;
    const notes = [
      hand === true && ['hand', 'note-hand'], room.presenter === peer.id && ['star', 'note-presenter'], screen && ['screen', 'note-screen'],
      (mic === false || mutedAudio) && ['mic-off', 'note-muted'], (camera === false || mutedVideo) && ['camera-off', 'note-camera-off'], peer.away && ['', 'note-away'],
    ].filter(Boolean);
    const badges = line.querySelector('.badges');
    const text = notes.map(([, key]) => key).join();
    if (badges.dataset.text !== text) {
      badges.dataset.text = text;
      badges.replaceChildren(...notes.map(([symbol, key]) => make('span', { class: 'badge', 'data-note': key }, symbol ? icon(symbol) : null, make('span', {}, t(key)))));
    }
    badges.hidden = notes.length === 0;
    const acts = line.querySelector('.acts');
    acts.hidden = !moderates;
    for (const [what, on, key] of [
      ['mute', mutedAudio, mutedAudio ? 'unmute-one' : 'mute-one'], ['camera', mutedVideo, mutedVideo ? 'camera-on-one' : 'camera-off-one'],
      ['present', room.presenter === peer.id, room.presenter === peer.id ? 'end-presenting-one' : 'present-one'],
    ]) {
      const button = acts.querySelector(`[data-what="${what}"]`);
      button.setAttribute('aria-pressed', String(Boolean(on)));
      label(button, key, { name });
      button.hidden = own && what !== 'present';
    }
    acts.querySelector('[data-what="kick"]').hidden = own;
  }
}

function face(name) {
  return make('span', { class: 'initials', 'aria-hidden': 'true' }, initials(name));
}

function act(what, symbol, key, name, onclick) {
  const button = make('button', { type: 'button', class: 'act', 'data-what': what, onclick }, icon(symbol));
  label(button, key, { name });
  return button;
}

/** Makes the lines of a list those of the records, in their order. Lines stay the same elements, and keep the focus. */
function keyed(list, records, create, fill) {
  const lines = new Map([...list.children].map((line) => [line.dataset.key, line]));
  const wanted = records.map((record) => {
    const line = lines.get(record.id) ?? create(record);
    lines.delete(record.id);
    fill(line, record);
    return line;
  });
  for (const line of lines.values()) line.remove();
  for (const [i, line] of wanted.entries()) if (list.children[i] !== line) list.insertBefore(line, list.children[i] ?? null);
}
