// Picture and sound of one's own in a meeting: which devices, how loud, and what to do where there are none.

import { generate } from './media.js';
import { keep, recall } from './basics.js';

/** Why there is no camera and microphone, by the name of getUserMedia's error (W3C Media Capture, section 10.1). */
const REFUSALS = { NotAllowedError: 'media-refused', SecurityError: 'media-refused', NotFoundError: 'media-missing', NotReadableError: 'media-busy' };

const SOUND = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
const PICTURE = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 24 } };

/** The kind of a track, by what it comes from. */
const KINDS = { camera: 'video', mic: 'audio' };

/**
 * One's own media. The stream stays the same, and its tracks change.
 *
 * Events: `track` with {kind, before, track}, each of them null where there is none; `note` when there is another one.
 */
export class OwnMedia extends EventTarget {
  stream = new MediaStream();
  /** What the devices say, as a key of the words; empty if all is well. */
  note = 'media-opening';
  /** Where picture and sound come from: devices, or generated. */
  source = 'devices';
  #end = () => {};
  #resume = () => {};
  #turn = 0;
  #getName;

  /** @param {() => string} getName painted into a generated picture */
  constructor(getName) {
    super();
    this.#getName = getName;
  }

  /** The track of a kind, or null. */
  track(kind) {
    return this.stream.getTracks().find((track) => track.kind === kind) ?? null;
  }

  /** The device that is used, or ''. */
  device(what) {
    return this.track(KINDS[what])?.getSettings().deviceId ?? '';
  }

  /** Opens what was used at the last visit; the last call of several wins. */
  async open(source) {
    const turn = ++this.#turn;
    this.source = source;
    this.#say('media-opening');
    const opened = source === 'generated' ? { ...generate(this.#getName), note: '' } : await openDevices();
    if (turn !== this.#turn) {
      opened.stop();
      return;
    }
    const end = this.#end;
    this.#end = opened.stop;
    this.#resume = opened.resume ?? (() => {});
    for (const kind of ['video', 'audio']) this.#put(kind, opened.stream.getTracks().find((track) => track.kind === kind) ?? null);
    end();
    this.#say(opened.note);
  }

  /** Takes another camera or microphone; throws what getUserMedia does. */
  async choose(what, deviceId) {
    const kind = KINDS[what];
    const wanted = { deviceId: { exact: deviceId }, ...(kind === 'audio' ? SOUND : PICTURE) };
    const stream = await navigator.mediaDevices.getUserMedia({ [kind]: wanted });
    const [track] = stream.getTracks();
    track.enabled = this.track(kind)?.enabled ?? true;
    this.#put(kind, track)?.stop();
    keep(what, deviceId);
    if (this.track('video') && this.track('audio')) this.#say('');
  }

  /** Lets sound begin: with the first click or key, as browsers want it. */
  resume() {
    this.#resume();
  }

  #put(kind, track) {
    const before = this.track(kind);
    if (before) this.stream.removeTrack(before);
    if (track) {
      this.stream.addTrack(track);
      track.addEventListener('ended', () => {
        // A camera that was pulled out.
        if (this.track(kind) === track) this.#put(kind, null);
      });
    }
    if (before || track) this.dispatchEvent(new CustomEvent('track', { detail: { kind, before, track } }));
    return before;
  }

  #say(note) {
    this.note = note;
    this.dispatchEvent(new CustomEvent('note'));
  }
}

/** Camera and microphone, or what there is of them. */
async function openDevices() {
  if (!navigator.mediaDevices) return nothing('media-insecure');
  const video = { ...PICTURE, ...preferred('camera') };
  const audio = { ...SOUND, ...preferred('mic') };
  let refusal;
  for (const [constraints, note] of [[{ video, audio }, ''], [{ audio }, 'media-no-camera'], [{ video }, 'media-no-mic']]) {
    try {
      const stream = await navigator.mediaDevices.getUserMedia(constraints);
      return { stream, note, stop: () => stream.getTracks().forEach((track) => track.stop()) };
    } catch (error) {
      refusal ??= REFUSALS[error.name] ?? 'media-failed';
      if (refusal === 'media-refused') break;
    }
  }
  return nothing(refusal);
}

function nothing(note) {
  return { stream: new MediaStream(), note, stop: () => {} };
}

/** The device of the last visit, if it is still there. */
function preferred(what) {
  const deviceId = recall(what);
  return deviceId ? { deviceId: { ideal: deviceId } } : {};
}

/** The devices of a kind (videoinput, audioinput, audiooutput) that can be told apart. */
export async function devicesOf(kind) {
  const all = await navigator.mediaDevices?.enumerateDevices() ?? [];
  return all.filter((device) => device.kind === kind && device.deviceId);
}

/**
 * Shows how loud a track is, until the returned function is called.
 *
 * @param {() => MediaStreamTrack | null} getTrack
 * @param {HTMLElement} bar its width is the level
 */
export function meter(getTrack, bar) {
  let audio;
  let source;
  let measured;
  let analyser;
  const samples = new Uint8Array(256);
  const look = () => {
    const track = getTrack();
    if (track !== measured) {
      measured = track;
      source?.disconnect();
      source = undefined;
      if (track) {
        audio ??= new AudioContext();
        analyser ??= new AnalyserNode(audio, { fftSize: samples.length });
        source = audio.createMediaStreamSource(new MediaStream([track]));
        source.connect(analyser);
      }
    }
    let level = 0;
    if (source) {
      audio.resume().catch(() => {});
      analyser.getByteTimeDomainData(samples);
      level = samples.reduce((most, sample) => Math.max(most, Math.abs(sample - 128)), 0) / 128;
    }
    bar.style.width = `${Math.round(100 * Math.sqrt(level))}%`;
  };
  const timer = setInterval(look, 100);
  look();
  return () => {
    clearInterval(timer);
    source?.disconnect();
    if (audio?.state !== 'closed') audio?.close();
  };
}
