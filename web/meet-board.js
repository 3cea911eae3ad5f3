// The meeting's whiteboard. A stroke is drawn at the others while the pen is down, by messages that nobody misses later, and kept as a
// whole when it is up, for those who come late.

import { make } from './meet-dialogs.js';
import { inEveryLanguage, label, t, why } from './meet-words.js';
import { $, icon, nameOf } from './basics.js';

const TOPIC = 'whiteboard';

/** The paper, in units of its own: every screen shows the same of it. */
const WIDTH = 1600;
const HEIGHT = 900;

/** How often a stroke is sent while it is drawn, in milliseconds, and the most points that it has: a longer one is cut in two. */
const PULSE = 80;
const POINTS = 800;

/** How far an arrow key moves the pen. */
const STEP = 16;

/** How long a stroke that nobody has finished stays, in milliseconds: whoever drew it has left, or its end was lost. */
const UNFINISHED = 20_000;

const COLOURS = { black: '#1c2b30', red: '#d0312d', amber: '#d98200', green: '#0b8457', blue: '#1f6fd1', violet: '#7a3fc4' };
const WIDTHS = { thin: 3, middle: 7, thick: 14 };
const TOOLS = { pen: { wider: 1, opacity: 1 }, marker: { wider: 3, opacity: 0.35 }, eraser: { wider: 4, opacity: 1 } };

const PAPER = '#ffffff';

export function open(parts) {
  return new Board(parts);
}

/**
 * @typedef {object} Stroke
 * @property {string} id
 * @property {'pen' | 'marker' | 'eraser'} tool
 * @property {string} colour
 * @property {string} width
 * @property {number[]} points x and y in turns
 */
class Board {
  #room;
  #say;
  #ask;
  #canvas = make('canvas', { id: 'paper', tabindex: 0, role: 'application' });
  #context = this.#canvas.getContext('2d');
  #chosen = { tool: 'pen', colour: 'black', width: 'middle' };
  /** Kept strokes by their number. @type {Map<number, Stroke>} */
  #kept = new Map();
  /** Numbers of strokes that were taken back before they came. */
  #undone = new Set();
  /** All up to this number were taken back. */
  #clearedAt = 0;
  /** Strokes that others draw just now, by id. @type {Map<string, Stroke & {at: number}>} */
  #live = new Map();
  /** One's own, while the pen is down. @type {Stroke | null} */
  #own = null;
  /** Own strokes that are up, and not kept yet. @type {Map<string, Stroke>} */
  #sent = new Map();
  #told = 0;
  #pulse;
  #pointer;
  /** Where the arrow keys have moved the pen, or null. */
  #cursor = null;
  #drawing = false;

  constructor({ room, say, ask, signal, close }) {
    this.#room = room;
    this.#say = say;
    this.#ask = ask;
    const leave = inEveryLanguage(() => this.#build(close));
    const resizes = new ResizeObserver(() => this.#fit());
    resizes.observe(this.#canvas);
    const tidy = setInterval(() => this.#tidy(), UNFINISHED / 4);
    signal.addEventListener('abort', () => {
      leave();
      resizes.disconnect();
      clearInterval(tidy);
      clearTimeout(this.#pulse);
    });
    const on = (type, handle) => room.addEventListener(type, ({ detail }) => handle(detail), { signal });
    on('message', (message) => message.topic === TOPIC && this.#receive(message));
    on('undone', ({ topic, of }) => {
      if (topic !== TOPIC) return;
      this.#undone.add(of);
      this.#kept.delete(of);
      this.#draw();
    });
    on('cleared', ({ topic, by }) => {
      if (topic !== TOPIC) return;
      this.#clear(room.seq);
      if (by !== room.self.id) this.#say(t('board-cleared', { name: nameOf(room.peers.get(by)) }));
    });
    on('resync', () => {
      this.#kept.clear();
      this.#load();
    });
    for (const [type, handle] of [['pointerdown', this.#down], ['pointermove', this.#move], ['pointerup', this.#up], ['pointercancel', this.#up], ['keydown', this.#key], ['blur', this.#blur]]) {
      this.#canvas.addEventListener(type, handle.bind(this));
    }
    this.#load();
  }

  shown(isOpen) {
    if (!isOpen) return;
    this.#fit();
    this.#canvas.focus({ focusVisible: false });
  }

  #build(close) {
    const choices = (what, all, show) => make('div', { class: 'choices', role: 'radiogroup', 'aria-label': t(what) }, ...all.map((value) => {
      const input = make('input', {
        type: 'radio', name: `board-${what}`, value, checked: this.#chosen[what] === value, 'aria-label': t(value), title: t(value),
        onchange: () => (this.#chosen[what] = value),
      });
      return make('label', { class: `choice of-${what}`, 'data-value': value }, input, show(value));
    }));
    const button = (id, symbol, act) => make('button', { type: 'button', class: 'plain', id, 'aria-label': t(id), title: t(id), onclick: act }, icon(symbol));
    $('board').replaceChildren(
      make('div', { class: 'board-tools', role: 'group', 'aria-label': t('board-title') },
        choices('tool', Object.keys(TOOLS), (value) => icon(value)),
        choices('colour', Object.keys(COLOURS), (value) => {
          const dot = make('i');
          dot.style.background = COLOURS[value];
          return dot;
        }),
        choices('width', Object.keys(WIDTHS), () => make('i')),
        make('span', { class: 'spring' }),
        button('undo', 'undo', () => this.#undo()), button('clear', 'trash', () => this.#askToClear()), button('close-board', 'close', close)),
      make('div', { class: 'paper' }, this.#canvas));
    label(this.#canvas, 'board-help');
  }

  /** What was drawn before one came. */
  async #load() {
    try {
      for await (const { messages } of this.#room.history(TOPIC)) {
        for (const { seq, data } of messages) this.#keep(seq, data);
      }
      this.#draw();
    } catch (error) {
      if (error.code !== 'closed') this.#say(why(error), 'bad');
    }
  }

  #receive({ seq, data, kept, from }) {
    if (!isStroke(data)) return;
    if (kept) {
      this.#keep(seq, data);
    } else if (from !== this.#room.self.id) {
      const live = this.#live.get(data.id) ?? { ...data, points: [] };
      if (live.points.length > 4 * POINTS) return;
      live.points.push(...data.points);
      live.at = performance.now();
      this.#live.set(data.id, live);
    }
    this.#draw();
  }

  #keep(seq, stroke) {
    if (!isStroke(stroke) || this.#undone.has(seq) || seq <= this.#clearedAt) return;
    this.#kept.set(seq, stroke);
    this.#live.delete(stroke.id);
    this.#sent.delete(stroke.id);
  }

  #clear(seq) {
    this.#clearedAt = seq;
    this.#kept.clear();
    this.#live.clear();
    this.#draw();
  }

  #tidy() {
    const before = this.#live.size;
    for (const [id, { at }] of this.#live) if (performance.now() - at > UNFINISHED) this.#live.delete(id);
    if (this.#live.size !== before) this.#draw();
  }

  // Drawing

  #begin(x, y) {
    this.#own = { id: crypto.randomUUID?.() ?? `${this.#room.self.id}-${performance.now()}`, ...this.#chosen, points: [x, y] };
    this.#told = 0;
    this.#pulse = setTimeout(() => this.#tell(), PULSE);
    this.#draw();
  }

  #go(x, y) {
    const { points } = this.#own;
    if (points.at(-2) === x && points.at(-1) === y) return;
    points.push(x, y);
    if (points.length >= 2 * POINTS) {
      this.#finish();
      this.#begin(x, y);
    }
    this.#draw();
  }

  /** Tells the others how far the stroke has come. */
  #tell() {
    const { points, ...stroke } = this.#own;
    if (points.length > this.#told) {
      // From the last point that they know, so that a part that is lost leaves a gap and no jump.
      this.#room.publish({ ...stroke, points: points.slice(this.#told) }, { topic: TOPIC, volatile: true }).catch(() => {});
      this.#told = points.length;
    }
    this.#pulse = setTimeout(() => this.#tell(), PULSE);
  }

  async #finish() {
    clearTimeout(this.#pulse);
    const stroke = this.#own;
    this.#own = null;
    this.#sent.set(stroke.id, stroke);
    try {
      await this.#room.publish(stroke, { topic: TOPIC, keep: true, echo: true });
    } catch (error) {
      this.#sent.delete(stroke.id);
      this.#draw();
      if (error.code !== 'closed') this.#say(why(error), 'bad');
    }
  }

  #at({ clientX, clientY }) {
    const { left, top, width, height } = this.#canvas.getBoundingClientRect();
    const within = (value, most) => Math.round(Math.min(Math.max(value, 0), most));
    return [within(((clientX - left) / width) * WIDTH, WIDTH), within(((clientY - top) / height) * HEIGHT, HEIGHT)];
  }

  #down(event) {
    if (event.button !== 0 || this.#own) return;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#pointer = event.pointerId;
    this.#cursor = null;
    this.#begin(...this.#at(event));
  }

  #move(event) {
    if (!this.#own || event.pointerId !== this.#pointer) return;
    for (const step of event.getCoalescedEvents?.() ?? []) this.#go(...this.#at(step));
    this.#go(...this.#at(event));
  }

  #up(event) {
    if (this.#own && event.pointerId === this.#pointer) this.#finish();
  }

  #key(event) {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const step = steps[event.key];
    if (event.key === ' ' || event.key === 'Enter') {
      event.preventDefault();
      if (event.repeat) return;
      this.#cursor ??= [WIDTH / 2, HEIGHT / 2];
      if (this.#own) this.#finish();
      else this.#begin(...this.#cursor);
      $('aloud').textContent = t(this.#own ? 'pen-down' : 'pen-up');
    } else if ((event.ctrlKey || event.metaKey) && event.key === 'z') {
      event.preventDefault();
      this.#undo();
    } else if (step) {
      event.preventDefault();
      const [x, y] = this.#cursor ?? [WIDTH / 2, HEIGHT / 2];
      const far = event.shiftKey ? 4 * STEP : STEP;
      this.#cursor = [Math.min(Math.max(x + step[0] * far, 0), WIDTH), Math.min(Math.max(y + step[1] * far, 0), HEIGHT)];
      if (this.#own) this.#go(...this.#cursor);
    }
    this.#draw();
  }

  #blur() {
    this.#cursor = null;
    if (this.#own) this.#finish();
    this.#draw();
  }

  async #undo() {
    try {
      if (await this.#room.undo(TOPIC) === undefined) this.#say(t('nothing-to-undo'));
    } catch (error) {
      if (error.code !== 'closed') this.#say(why(error), 'bad');
    }
  }

  async #askToClear() {
    if (!(await this.#ask(t('clear-question'), t('clear')))) return;
    try {
      await this.#room.clear(TOPIC);
    } catch (error) {
      if (error.code !== 'closed') this.#say(why(error), 'bad');
    }
  }

  // Showing

  /** Gives the canvas as many dots as it has on the screen. */
  #fit() {
    const { width } = this.#canvas.getBoundingClientRect();
    if (width === 0) return;
    const dots = Math.round(width * devicePixelRatio);
    if (this.#canvas.width !== dots) {
      this.#canvas.width = dots;
      this.#canvas.height = Math.round((dots * HEIGHT) / WIDTH);
    }
    this.#draw();
  }

  /** Draws at the next frame, once for all that has come by then. */
  #draw() {
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      const context = this.#context;
      const scale = this.#canvas.width / WIDTH;
      context.setTransform(scale, 0, 0, scale, 0, 0);
      context.fillStyle = PAPER;
      context.fillRect(0, 0, WIDTH, HEIGHT);
      context.lineCap = 'round';
      context.lineJoin = 'round';
      const inOrder = [...this.#kept].sort(([a], [b]) => a - b).map(([, stroke]) => stroke);
      for (const stroke of [...inOrder, ...this.#live.values(), ...this.#sent.values(), ...(this.#own ? [this.#own] : [])]) paint(context, stroke);
      if (this.#cursor) paintCursor(context, ...this.#cursor);
      this.#canvas.dataset.strokes = this.#kept.size;
      this.#canvas.dataset.live = this.#live.size;
    });
  }
}

/** Whether data of somebody else can be drawn. */
function isStroke(data) {
  return typeof data === 'object' && data !== null && typeof data.id === 'string' && data.tool in TOOLS && data.colour in COLOURS && data.width in WIDTHS
    && Array.isArray(data.points) && data.points.length <= 2 * POINTS && data.points.length % 2 === 0 && data.points.every(Number.isFinite);
}

function paint(context, { tool, colour, width, points }) {
  const { wider, opacity } = TOOLS[tool];
  context.globalAlpha = opacity;
  context.strokeStyle = tool === 'eraser' ? PAPER : COLOURS[colour];
  context.lineWidth = WIDTHS[width] * wider;
  context.beginPath();
  context.moveTo(points[0], points[1]);
  // Through the middle of each two points: a hand draws no corners.
  for (let i = 2; i < points.length - 2; i += 2) {
    context.quadraticCurveTo(points[i], points[i + 1], (points[i] + points[i + 2]) / 2, (points[i + 1] + points[i + 3]) / 2);
  }
  context.lineTo(points.at(-2), points.at(-1));
  context.stroke();
  context.globalAlpha = 1;
}

function paintCursor(context, x, y) {
  context.strokeStyle = '#0b6b50';
  context.lineWidth = 3;
  context.beginPath();
  context.arc(x, y, 14, 0, 2 * Math.PI);
  context.moveTo(x - 24, y);
  context.lineTo(x + 24, y);
  context.moveTo(x, y - 24);
  context.lineTo(x, y + 24);
  context.stroke();
}
