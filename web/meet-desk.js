// A meeting that one is in: who is there and what they show, and what one does about it.

import { $, nameOf, recall } from './basics.js';
import { ask, hasShortcuts } from './meet-dialogs.js';
import { People } from './meet-people.js';
import { watch } from './meet-quality.js';
import { Tiles } from './meet-tiles.js';
import { inEveryLanguage, t, why } from './meet-words.js';
import { Call, spotlightPeer } from './sdk.js';

export { joinWith, newClient } from './page.js';

/** How long each is in the spotlight, in milliseconds. */
const TURN = 15_000;

/** How often it is looked at whose turn it is, in milliseconds. */
const LOOK = 1_000;

/**
 * What each of the others is sent of a picture, by how many there are: each more is one more picture to encode and to send. By how much it is
 * smaller in width and height, how many of it a second, and bits a second.
 */
const SENT = [
  { most: 1, scaleResolutionDownBy: 1, maxFramerate: 24, maxBitrate: 1_500_000 },
  { most: 3, scaleResolutionDownBy: 2, maxFramerate: 20, maxBitrate: 500_000 },
  { most: Infinity, scaleResolutionDownBy: 2.5, maxFramerate: 15, maxBitrate: 300_000 },
];

/** Parts that are fetched when they are wanted, beside the pictures. */
const PARTS = { chat: () => import('./meet-chat.js'), board: () => import('./meet-board.js') };

export class Desk {
  #media;
  #wanted;
  #say;
  #toggle;
  #end;
  #call;
  #tiles;
  #people;
  #listening = new AbortController();
  #timers = [];
  #endWatch;
  #leaveLanguage;
  /** What the others send, by peer id and stream id. @type {Map<string, Map<string, MediaStream>>} */
  #streams = new Map();
  /** @type {Map<string, string>} */
  #qualities = new Map();
  /** One's own shared screen. @type {MediaStream | null} */
  #screen = null;
  #hand = false;
  /** The tile that one wants to see large, '' for none. */
  #pinned = '';
  #panel = '';
  /** What was fetched of the parts. */
  #parts = {};
  /** Whether the others do not know one's own state yet. */
  #untold = false;
  /** Whether one moderates. The gateway decides; this is what it said when it was asked. */
  moderates = false;

  /** Make it in the same turn in which `join` gave the room. */
  constructor({ client, room, media, wanted, say, toggle, end }) {
    this.client = client;
    this.room = room;
    this.#media = media;
    this.#wanted = wanted;
    this.#say = say;
    this.#toggle = toggle;
    this.#end = end;
    this.#call = new Call(client, room, { stream: media.stream });
    this.#tiles = new Tiles((key) => this.#pin(key));
    this.#people = new People(this, say);
    this.#listen();
  }

  #listen() {
    const { signal } = this.#listening;
    const on = (target, type, handle) => target.addEventListener(type, ({ detail }) => handle(detail ?? {}), { signal });
    const { room, client } = this;
    on(this.#call, 'track', (detail) => this.#track(detail));
    on(this.#call, 'connection', () => {
      this.#economize();
      this.update();
    });
    on(this.#call, 'error', ({ peer }) => this.#say(t('set-up-failed', { name: nameOf(peer) }), 'bad'));
    on(room, 'peer-joined', ({ peer }) => this.#news('is-here', peer));
    on(room, 'peer-left', ({ peer, reason }) => {
      this.#streams.delete(peer.id);
      this.#economize();
      this.#news(reason === 'kicked' ? 'was-removed' : 'has-left', peer);
    });
    on(room, 'peer-state', ({ peer, changes }) => this.#changed(peer, changes));
    on(room, 'changed', ({ changes }) => this.#roomChanged(changes));
    on(room, 'waiter-joined', ({ waiter }) => {
      if (this.moderates && waiter.reason === 'moderated') this.#say(t('at-the-door', { name: nameOf(waiter) }));
      this.update();
    });
    on(room, 'waiter-left', () => this.update());
    on(room, 'resync', () => {
      this.update();
      this.#askWhatOneMay();
    });
    on(room, 'status', ({ status }) => {
      if (status === 'joined' && this.#untold) this.tellState();
      this.#showBadge();
    });
    on(room, 'closed', (closing) => {
      this.#close();
      this.#end(closing);
    });
    on(client, 'state', ({ state }) => {
      if (state === 'reconnecting') this.#say(t('connection-lost'), 'busy');
      else if (state === 'connected') this.#say(t('are-back'));
      this.#showBadge();
    });
    for (const type of ['online', 'offline']) addEventListener(type, () => this.#showBadge(), { signal });
    on(this.#media, 'track', (detail) => this.#ownTrack(detail));
    const press = (id, act) => $(id).addEventListener('click', act, { signal });
    press('mic', () => this.#toggle('mic'));
    press('camera', () => this.#toggle('camera'));
    press('hand', () => this.#raise());
    press('screen', () => this.#share());
    press('show-people', () => this.show('people'));
    press('show-chat', () => this.show('chat'));
    press('show-board', () => this.#showBoard());
    press('leave', () => this.leave());
    addEventListener('keydown', (event) => this.#key(event), { signal });
  }

  /** Shows the meeting, once its part of the page is there. */
  open() {
    $('meeting-title').textContent = this.room.name;
    this.#endWatch = watch(this.#call, {
      speak: (ids) => this.#tiles.speak(ids),
      rate: (qualities) => {
        this.#qualities = qualities;
        this.#tiles.rate(qualities);
      },
    });
    this.#timers.push(setInterval(() => this.room.spotlight && this.update(), LOOK));
    this.#leaveLanguage = inEveryLanguage(() => {
      this.#showBadge();
      this.update();
    });
    this.#say(t('are-in', { room: this.room.name }));
    this.#askWhatOneMay();
    this.#part('chat');
    this.#part('board');
  }

  leave() {
    this.client.close();
  }

  /** Has the others be heard from a loudspeaker. */
  listenWith(deviceId) {
    return this.#tiles.listenWith(deviceId);
  }

  /** Tells the others one's own state; one's own tracks are as wanted already. */
  async tellState() {
    this.#untold = false;
    this.update();
    try {
      await this.room.setState({
        mic: this.#wanted.mic && this.#media.track('audio') !== null,
        camera: this.#wanted.camera && this.#media.track('video') !== null,
        hand: this.#hand || null,
        screen: this.#screen?.id ?? null,
      });
      this.update();
    } catch (error) {
      // Without a connection it is told when there is one again.
      if (error.retryable) this.#untold = true;
      else if (error.code !== 'closed') this.#say(why(error), 'bad');
    }
  }

  /** Does something that the gateway may refuse, and says why if it does. */
  async attempt(what) {
    try {
      return await what();
    } catch (error) {
      if (error.code !== 'closed') this.#say(why(error), 'bad');
      return undefined;
    }
  }

  /** Starts a rotation of the spotlight over all who are there, or ends the one that there is. */
  rotate() {
    return this.attempt(() => this.room.edit(({ spotlight, peers }) => ({ spotlight: spotlight ? null : { interval: TURN, order: [...peers.keys()] } })));
  }

  /** Shows everything that the room says. */
  update() {
    if (this.#listening.signal.aborted || $('meeting').hidden) return;
    const { room } = this;
    this.#applyTracks();
    const mine = this.#looks(room.self);
    this.#press('mic', !mine.mic, mine.mic ? 'mic' : 'mic-off', room.self.state.mutedAudio ? 'muted-by-moderator' : !this.#media.track('audio') && 'no-microphone');
    this.#press('camera', !mine.camera, mine.camera ? 'camera' : 'camera-off', room.self.state.mutedVideo ? 'camera-off-by-moderator' : !this.#media.track('video') && 'no-camera');
    this.#press('hand', this.#hand, 'hand');
    this.#press('screen', this.#screen !== null, 'screen', !navigator.mediaDevices?.getDisplayMedia && 'cannot-share');
    $('locked').hidden = !room.locked;
    const shown = this.#shown();
    const large = this.#largeOf(shown);
    this.#tiles.show(shown, large);
    this.#people.show(this.#panel === 'people');
  }

  /** The tiles, in the order of joining; oneself is last, as people look at the others. */
  #shown() {
    const { room } = this;
    const peers = [...room.peers.values()];
    const ordered = [...peers.filter(({ id }) => id !== room.self.id), room.self];
    return ordered.flatMap((peer) => {
      const own = peer.id === room.self.id;
      const streams = this.#streams.get(peer.id) ?? new Map();
      const screenID = own ? this.#screen?.id : peer.state.screen;
      const stream = own ? this.#media.stream : [...streams.values()].find(({ id }) => id !== screenID) ?? null;
      const shared = own ? this.#screen : screenID ? streams.get(screenID) ?? null : null;
      const base = { peer, own, presents: room.presenter === peer.id, quality: this.#qualities.get(peer.id) };
      const tile = { ...base, ...this.#looks(peer), key: peer.id, screen: false, stream, mirrored: own && this.#media.source === 'devices' };
      return shared ? [{ ...tile, key: `${peer.id}:screen`, screen: true, stream: shared, camera: true, hand: false, presents: false, mirrored: false }, tile] : [tile];
    });
  }

  /** The key of the tile that is large: what one has chosen, a shared screen, whose turn it is, or who presents. */
  #largeOf(shown) {
    const { room } = this;
    if (shown.some(({ key }) => key === this.#pinned)) return this.#pinned;
    if (this.#pinned === 'nobody') return '';
    const screen = shown.find(({ screen, own }) => screen && !own) ?? shown.find(({ screen }) => screen);
    if (screen) return screen.key;
    const turn = room.spotlight && spotlightPeer(room.spotlight, this.client.now(), (id) => room.peers.has(id));
    return turn ?? room.presenter ?? '';
  }

  /** What can be seen and heard of somebody. */
  #looks(peer) {
    const { state } = peer;
    const own = peer.id === this.room.self.id;
    const { mic, camera } = own ? { mic: this.#wanted.mic && this.#media.track('audio'), camera: this.#wanted.camera && this.#media.track('video') } : state;
    return { mic: Boolean(mic ?? true) && !state.mutedAudio, camera: Boolean(camera ?? true) && !state.mutedVideo, hand: own ? this.#hand : state.hand === true };
  }

  /** Makes one's tracks as wanted, unless a moderator has muted them. */
  #applyTracks() {
    const { mutedAudio, mutedVideo } = this.room.self.state;
    for (const track of this.#media.stream.getTracks()) {
      track.enabled = track.kind === 'audio' ? this.#wanted.mic && !mutedAudio : this.#wanted.camera && !mutedVideo;
    }
  }

  /** Shows a switch. Its label says what it does when pressed, and stays; what stands against it is told in its place. */
  #press(id, pressed, symbol, obstacle) {
    const element = $(id);
    element.setAttribute('aria-pressed', String(pressed));
    element.disabled = Boolean(obstacle);
    element.title = obstacle ? t(obstacle) : '';
    element.querySelector('use').setAttribute('href', `icons.svg#${symbol}`);
  }

  #showBadge() {
    const offline = !navigator.onLine;
    const lost = this.client.state !== 'connected' || this.room.status === 'rejoining';
    $('badge').dataset.state = offline || lost ? 'busy' : 'on';
    $('badge-text').textContent = t(offline ? 'offline' : lost ? 'reconnecting' : 'connected');
    $('badge').title = this.client.node ? t('on-gateway', { gateway: this.client.node }) : '';
    $('badge').dataset.gateway = this.client.node ?? '';
  }

  #news(key, peer) {
    this.#say(t(key, { name: nameOf(peer) }));
    this.update();
  }

  #changed(peer, changes) {
    const own = peer.id === this.room.self.id;
    if (own) {
      const told = { mutedAudio: ['you-are-muted', 'you-may-speak'], mutedVideo: ['camera-is-off', 'camera-may-be-on'] };
      for (const [key, [on, off]] of Object.entries(told)) if (key in changes) this.#say(t(changes[key] ? on : off), changes[key] ? 'bad' : 'quiet');
    } else if (changes.hand) {
      this.#say(t('hand-up', { name: nameOf(peer) }));
    } else if (changes.screen) {
      this.#say(t('shares-screen', { name: nameOf(peer) }));
    }
    this.update();
  }

  #roomChanged(changes) {
    if (changes.presenter) {
      const peer = this.room.peers.get(changes.presenter);
      this.#say(changes.presenter === this.room.self.id ? t('you-present') : t('presents-now', { name: nameOf(peer) }));
    }
    this.update();
  }

  /** Makes what is sent fit how many it is sent to. A shared screen stays as it is: people read it. */
  #economize() {
    const { connections } = this.#call;
    const { most, ...sent } = SENT.find(({ most }) => connections.size <= most);
    for (const { pc } of connections.values()) {
      for (const sender of pc.getSenders()) {
        if (sender.track?.kind !== 'video' || sender.track !== this.#media.track('video')) continue;
        const parameters = sender.getParameters();
        const [encoding] = parameters.encodings;
        if (!encoding || Object.entries(sent).every(([key, value]) => encoding[key] === value)) continue;
        Object.assign(encoding, sent);
        sender.setParameters(parameters).catch(() => {}); // it is being negotiated, or gone: the next change tries again
      }
    }
  }

  /** Something comes from one of the others. */
  #track({ peer, track, streams: [stream] }) {
    if (!stream) return;
    const streams = this.#streams.get(peer.id) ?? new Map();
    this.#streams.set(peer.id, streams);
    streams.set(stream.id, stream);
    stream.onremovetrack = () => {
      if (stream.getTracks().length === 0 && streams.get(stream.id) === stream) streams.delete(stream.id);
      this.update();
    };
    track.onunmute = () => this.update();
    this.update();
    const speaker = recall('speaker');
    if (speaker) this.listenWith(speaker).catch(() => {});
  }

  /** One has another camera or microphone, or none. */
  async #ownTrack({ before, track }) {
    this.#applyTracks();
    try {
      if (before && track) await this.#call.replaceTrack(before, track);
      else if (track) this.#call.addTrack(track, this.#media.stream);
      else this.#call.removeTrack(before);
    } catch {
      this.#say(t('device-failed'), 'bad');
    }
    this.tellState();
  }

  #raise() {
    this.#hand = !this.#hand;
    this.tellState();
  }

  /** Shares the screen, or ends that. */
  async #share() {
    if (this.#screen) {
      this.#unshare();
      return;
    }
    let screen;
    try {
      screen = await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { max: 15 } } });
    } catch (error) {
      // Who closes the browser's own dialog does not want to share.
      if (error.name !== 'NotAllowedError' && error.name !== 'AbortError') this.#say(t('share-failed'), 'bad');
      return;
    }
    if (this.#listening.signal.aborted) {
      for (const track of screen.getTracks()) track.stop();
      return;
    }
    this.#screen = screen;
    const [track] = screen.getVideoTracks();
    track.contentHint = 'detail';
    track.addEventListener('ended', () => this.#screen === screen && this.#unshare());
    this.tellState();
    this.#call.addTrack(track, screen);
  }

  #unshare() {
    for (const track of this.#screen.getTracks()) {
      track.stop();
      this.#call.removeTrack(track);
    }
    this.#screen = null;
    this.tellState();
  }

  #pin(key) {
    const large = $('tiles').querySelector('.pin[aria-pressed="true"]')?.closest('.tile').dataset.key;
    this.#pinned = key === large ? 'nobody' : key;
    this.update();
  }

  /** Shows the next one large, and after the last one everybody alike. */
  #pinNext() {
    const keys = this.#shown().map(({ key }) => key);
    const next = keys[keys.indexOf(this.#pinned) + 1] ?? 'nobody';
    this.#pinned = next;
    this.update();
  }

  /** Opens one of the panels, or closes the one that is open. */
  async show(panel) {
    const before = this.#panel;
    this.#panel = panel === before ? '' : panel;
    for (const name of ['people', 'chat']) {
      $(`${name}-panel`).hidden = this.#panel !== name;
      $(`show-${name}`).setAttribute('aria-expanded', String(this.#panel === name));
    }
    const chat = await this.#part('chat');
    chat?.shown(this.#panel === 'chat');
    this.update();
    if (this.#panel === 'people') $('people-panel').querySelector('h2').focus();
    if (!this.#panel && before) $(`show-${before}`).focus();
  }

  async #showBoard() {
    const board = await this.#part('board');
    if (!board) return;
    const isOpen = $('board').hidden;
    $('board').hidden = !isOpen;
    $('show-board').setAttribute('aria-pressed', String(isOpen));
    this.update();
    board.shown(isOpen);
    if (!isOpen) $('show-board').focus();
  }

  /** One of the parts that are fetched by themselves; undefined once the meeting is over, or if it cannot be fetched. */
  async #part(name) {
    this.#parts[name] ??= PARTS[name]().then(({ open }) => (this.#listening.signal.aborted ? undefined : open({
      desk: this, room: this.room, client: this.client, say: this.#say, ask, signal: this.#listening.signal, close: () => (name === 'chat' ? this.show('chat') : this.#showBoard()),
    }))).catch(() => {
      this.#parts[name] = undefined;
    });
    return this.#parts[name];
  }

  /** Asks the gateway whether one moderates: by sending somebody away who does not wait, which moderators may do, and changes nothing. */
  async #askWhatOneMay() {
    try {
      await this.room.deny('nobody');
      this.moderates = true;
    } catch ({ code }) {
      if (code === 'peer_gone') this.moderates = true;
      else if (code === 'forbidden') this.moderates = false;
    }
    this.update();
  }

  #key(event) {
    const { key, target } = event;
    if ($('dialog').open || event.defaultPrevented) return;
    if (key === 'Escape' && this.#panel) {
      this.show(this.#panel);
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || !hasShortcuts()) return;
    if (target.closest?.('input:not([type=checkbox], [type=radio]), textarea, select, canvas')) return;
    const buttons = { m: 'mic', v: 'camera', s: 'screen', h: 'hand', w: 'show-board', c: 'show-chat', p: 'show-people' };
    if (buttons[key]) $(buttons[key]).click();
    else if (key === 'x') this.#pinNext();
    else if (key === 'q' || key === '?') $('more').click();
    else return;
    event.preventDefault();
  }

  /** Ends what this has begun on the page. */
  #close() {
    this.#listening.abort();
    this.#leaveLanguage?.();
    this.#endWatch?.();
    for (const timer of this.#timers) clearInterval(timer);
    for (const track of this.#screen?.getTracks() ?? []) track.stop();
    this.#call.close();
    this.#tiles.close();
    if ($('dialog').open) $('dialog').close();
    for (const id of ['people-panel', 'chat-panel', 'board']) {
      $(id).hidden = true;
      $(id).replaceChildren();
    }
    for (const id of ['show-people', 'show-chat']) $(id).setAttribute('aria-expanded', 'false');
    $('show-board').setAttribute('aria-pressed', 'false');
    for (const id of ['unread', 'waiting-count']) $(id).hidden = true;
  }
}
