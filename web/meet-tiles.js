// The pictures of a meeting: one tile a person and a shared screen, and where each of them is.

import { $, icon, initials, nameOf } from './basics.js';
import { label, t } from './meet-words.js';

/** Between tiles, in pixels. */
const GAP = 12;

/** How wide a tile may be for its height, and how narrow. */
const WIDEST = 1.9;
const NARROWEST = 0.72;

/** The shape that fits a camera's picture. */
const SHAPE = 1.6;

/**
 * Where tiles are: as large as they get, or one large and the others beside or below it.
 *
 * @param {number} count
 * @param {number} width
 * @param {number} height
 * @param {number} [large] index of the one that is large, -1 for none
 * @returns {{x: number, y: number, width: number, height: number}[]}
 */
export function arrange(count, width, height, large = -1) {
  if (large < 0 || count < 2) return inRows(count, width, height);
  const others = count - 1;
  const places = [];
  const beside = width > height * 1.1;
  let thumb;
  if (beside) {
    const most = (height - GAP * (others - 1)) / others;
    const w = Math.min(Math.max(width * 0.2, 120), 260, most * SHAPE);
    thumb = { width: w, height: Math.min(w / SHAPE, most) };
  } else {
    const most = (width - GAP * (others - 1)) / others;
    const h = Math.min(Math.max(height * 0.2, 84), 170);
    thumb = { width: Math.min(h * 1.2, most), height: h };
  }
  const used = others * ((beside ? thumb.height : thumb.width) + GAP) - GAP;
  let at = ((beside ? height : width) - used) / 2;
  for (let i = 0; i < count; i += 1) {
    if (i === large) {
      places.push({ x: 0, y: 0, width: beside ? width - thumb.width - GAP : width, height: beside ? height : height - thumb.height - GAP });
      continue;
    }
    places.push(beside ? { x: width - thumb.width, y: at, ...thumb } : { x: at, y: height - thumb.height, ...thumb });
    at += (beside ? thumb.height : thumb.width) + GAP;
  }
  return places;
}

/** Rows of equal tiles: as many columns as make them largest. */
function inRows(count, width, height) {
  let best = { size: -1, columns: 1 };
  for (let columns = 1; columns <= count; columns += 1) {
    const rows = Math.ceil(count / columns);
    const [w, h] = [(width - GAP * (columns - 1)) / columns, (height - GAP * (rows - 1)) / rows];
    const size = Math.min(w, h * SHAPE);
    if (size > best.size) best = { size, columns, rows, width: Math.min(w, h * WIDEST), height: Math.min(h, w / NARROWEST) };
  }
  const places = [];
  for (let i = 0; i < count; i += 1) {
    const row = Math.floor(i / best.columns);
    const inRow = Math.min(best.columns, count - row * best.columns);
    const left = (width - inRow * (best.width + GAP) + GAP) / 2;
    const top = (height - best.rows * (best.height + GAP) + GAP) / 2;
    places.push({ x: left + (i % best.columns) * (best.width + GAP), y: top + row * (best.height + GAP), width: best.width, height: best.height });
  }
  return places;
}

/**
 * The tiles on the floor. What they show is told by {@link Tiles.show}; who is large is asked each time.
 *
 * @typedef {object} Shown
 * @property {string} key      a peer's id, or that with ":screen"
 * @property {{id: string, name: string, away: boolean}} peer
 * @property {boolean} own
 * @property {boolean} screen
 * @property {MediaStream | null} stream
 * @property {boolean} mic
 * @property {boolean} camera
 * @property {boolean} hand
 * @property {boolean} presents
 * @property {boolean} mirrored
 * @property {string} [quality] good, fair, poor or none
 */
export class Tiles {
  #floor = $('floor');
  #list = $('tiles');
  #board = $('board');
  #alone = $('alone');
  /** By key. @type {Map<string, HTMLElement>} */
  #tiles = new Map();
  #keys = [];
  #large = '';
  #onPin;
  #resizes = new ResizeObserver(() => this.layout());

  /** @param {(key: string) => void} onPin somebody wants to see a tile large, or not any more */
  constructor(onPin) {
    this.#onPin = onPin;
    this.#resizes.observe(this.#floor);
  }

  /**
   * @param {Shown[]} all
   * @param {string} large the key of the one that is large, '' for none
   */
  show(all, large) {
    this.#keys = all.map(({ key }) => key);
    this.#large = this.#keys.includes(large) ? large : '';
    for (const [key, tile] of this.#tiles) {
      if (this.#keys.includes(key)) continue;
      tile.querySelector('video').srcObject = null;
      tile.remove();
      this.#tiles.delete(key);
    }
    for (const shown of all) {
      let tile = this.#tiles.get(shown.key);
      if (!tile) {
        tile = this.#make(shown);
        this.#tiles.set(shown.key, tile);
        this.#list.append(tile);
      }
      fill(tile, shown, this.#large === shown.key);
    }
    this.#alone.hidden = all.length !== 1;
    this.layout();
  }

  /** Puts the tiles where they belong. A whiteboard that is open is the large one. */
  layout() {
    const { clientWidth: width, clientHeight: height } = this.#floor;
    if (width === 0) return;
    const board = !this.#board.hidden;
    const alone = !this.#alone.hidden && !board;
    const parts = this.#keys.map((key) => this.#tiles.get(key));
    if (alone) parts.push(this.#alone);
    if (board) parts.unshift(this.#board);
    if (board) this.#alone.hidden = true;
    const large = board ? 0 : this.#keys.indexOf(this.#large);
    const places = arrange(parts.length, width, height, large);
    for (const [i, part] of parts.entries()) {
      const { x, y, width, height } = places[i];
      part.style.translate = `${x.toFixed(1)}px ${y.toFixed(1)}px`;
      part.style.width = `${width.toFixed(1)}px`;
      part.style.height = `${height.toFixed(1)}px`;
      part.classList.toggle('small', width < 220);
      part.classList.toggle('large', i === large);
    }
  }

  /** Marks those who are heard. @param {Set<string>} speaking peer ids */
  speak(speaking) {
    for (const [key, tile] of this.#tiles) tile.classList.toggle('speaks', speaking.has(key));
  }

  /** Shows how the ways to the others are. @param {Map<string, string>} qualities by peer id */
  rate(qualities) {
    for (const [id, quality] of qualities) {
      const tile = this.#tiles.get(id);
      if (tile) showQuality(tile, quality);
    }
  }

  /** Has the others be heard from a loudspeaker. @param {string} deviceId */
  async listenWith(deviceId) {
    await Promise.all([...this.#list.querySelectorAll('video')].map((video) => video.setSinkId?.(deviceId)));
  }

  /** Takes everything off the floor. */
  close() {
    this.#resizes.disconnect();
    this.show([], '');
  }

  #make({ key, own, screen }) {
    const tile = document.createElement('li');
    tile.className = 'tile';
    tile.dataset.key = key;
    const video = document.createElement('video');
    Object.assign(video, { autoplay: true, playsInline: true, muted: own || screen });
    const face = document.createElement('p');
    face.className = 'face';
    face.setAttribute('aria-hidden', 'true');
    const caption = document.createElement('p');
    caption.className = 'caption';
    const bars = document.createElement('span');
    bars.className = 'bars';
    bars.setAttribute('role', 'img');
    bars.append(...[1, 2, 3].map(() => document.createElement('i')));
    bars.hidden = true;
    const raised = document.createElement('span');
    raised.className = 'raised';
    raised.append(icon('hand'));
    raised.hidden = true;
    const pin = document.createElement('button');
    pin.type = 'button';
    pin.className = 'pin';
    pin.append(icon('large'));
    pin.addEventListener('click', () => this.#onPin(key));
    video.addEventListener('dblclick', () => this.#onPin(key));
    tile.append(video, face, raised, bars, caption, pin);
    return tile;
  }
}

/** Fills a tile. What stays as it is is not touched: a screen reader would read it again. */
function fill(tile, { peer, own, screen, stream, mic, camera, hand, presents, mirrored, quality }, isLarge) {
  const name = own ? t(screen ? 'your-screen' : 'you') : screen ? t('screen-of', { name: nameOf(peer) }) : nameOf(peer);
  const video = tile.querySelector('video');
  if (video.srcObject !== stream) video.srcObject = stream;
  video.classList.toggle('mirror', mirrored);
  label(video, own ? (screen ? 'your-screen' : 'own-picture') : screen ? 'screen-of' : 'picture-of', { name: nameOf(peer) });
  tile.dataset.camera = camera && stream ? 'on' : 'off';
  tile.dataset.screen = String(screen);
  tile.dataset.away = String(peer.away);
  tile.style.setProperty('--hue', hueOf(peer.id));
  tile.querySelector('.face').textContent = initials(nameOf(peer));
  tile.querySelector('.raised').hidden = !hand;
  const notes = [presents && ['star', 'note-presenter'], hand && ['', 'note-hand'], !mic && !screen && ['mic-off', 'note-muted'], peer.away && ['', 'note-away']].filter(Boolean);
  const text = [name, ...notes.map(([, key]) => key)].join('|') + document.documentElement.lang;
  const caption = tile.querySelector('.caption');
  if (caption.dataset.text !== text) {
    caption.dataset.text = text;
    const words = document.createElement('span');
    words.textContent = name;
    caption.replaceChildren(words, ...notes.flatMap(([symbol, key]) => {
      const note = document.createElement('span');
      note.className = symbol || key === 'note-hand' ? 'hidden' : 'note';
      note.textContent = `, ${t(key)}`;
      if (key === 'note-away') note.textContent = t(key);
      return symbol ? [icon(symbol), note] : [note];
    }));
  }
  const pin = tile.querySelector('.pin');
  pin.setAttribute('aria-pressed', String(isLarge));
  label(pin, isLarge ? 'show-small' : 'show-large', { name });
  if (!own && !screen) showQuality(tile, quality ?? 'none');
}

function showQuality(tile, quality) {
  const bars = tile.querySelector('.bars');
  bars.hidden = quality === 'none';
  bars.dataset.quality = quality;
  label(bars, `quality-${quality}`);
}

/** A colour of one's own, from the id. */
function hueOf(id) {
  let hash = 0;
  for (const letter of id) hash = (hash * 31 + letter.codePointAt(0)) % 360;
  return hash;
}
