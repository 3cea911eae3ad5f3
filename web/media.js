// Picture and sound of one's own: from the devices, or generated, so that a machine without devices can take part.

/** How often the generated picture changes, a second. */
const FRAMES = 20;

/** Why there is no camera and microphone, by the name of getUserMedia's error (W3C Media Capture, section 10.1). */
const REFUSALS = {
  NotAllowedError: 'Camera and microphone were not allowed, so a generated picture is used. To change that, allow them in the address bar and choose them again.',
  NotFoundError: 'No camera and microphone were found, so a generated picture is used.',
  NotReadableError: 'Camera or microphone are in use by another program, so a generated picture is used.',
};

/**
 * Own media: a stream, where it is from, and how to end it.
 *
 * @param {'devices' | 'generated'} wanted
 * @param {() => string} getName painted into the generated picture
 * @returns {Promise<{kind: 'devices' | 'generated', stream: MediaStream, note: string, stop: () => void}>}
 */
export async function openMedia(wanted, getName) {
  if (wanted === 'generated') return { ...generate(getName), note: '' };
  if (!navigator.mediaDevices) {
    return { ...generate(getName), note: 'Browsers give camera and microphone to https pages alone, so a generated picture is used.' };
  }
  try {
    const stream = await navigator.mediaDevices.getUserMedia({
      video: { width: { ideal: 1280 }, height: { ideal: 720 } },
      audio: { echoCancellation: true, noiseSuppression: true },
    });
    return { kind: 'devices', stream, note: '', stop: () => stream.getTracks().forEach((track) => track.stop()) };
  } catch (error) {
    const note = REFUSALS[error.name] ?? 'Camera and microphone could not be opened, so a generated picture is used.';
    return { ...generate(getName), note };
  }
}

/** A clock that moves, and a soft tone. */
export function generate(getName) {
  const canvas = document.createElement('canvas');
  canvas.width = 640;
  canvas.height = 360;
  const context = canvas.getContext('2d');
  const hue = Math.floor(Math.random() * 360);
  const draw = () => paint(context, hue, getName());
  draw();
  // A timer, not animation frames: those stop while the page is hidden, and the picture with them.
  const timer = setInterval(draw, 1000 / FRAMES);
  const stream = canvas.captureStream(FRAMES);

  const audio = new AudioContext();
  const tone = new OscillatorNode(audio, { frequency: 220 + (hue / 360) * 220 });
  const beat = new OscillatorNode(audio, { frequency: 1 });
  const beatDepth = new GainNode(audio, { gain: 0.03 });
  const volume = new GainNode(audio, { gain: 0.03 });
  const out = new MediaStreamAudioDestinationNode(audio);
  tone.connect(volume).connect(out);
  beat.connect(beatDepth).connect(volume.gain);
  tone.start();
  beat.start();
  for (const track of out.stream.getAudioTracks()) stream.addTrack(track);

  return {
    kind: 'generated',
    stream,
    /** Sound starts with the first click or key, as browsers want it. */
    resume: () => audio.resume(),
    stop: () => {
      clearInterval(timer);
      for (const track of stream.getTracks()) track.stop();
      if (audio.state !== 'closed') audio.close();
    },
  };
}

function paint(context, hue, name) {
  const { width, height } = context.canvas;
  const now = new Date();
  const seconds = now.getSeconds() + now.getMilliseconds() / 1000;

  const sky = context.createLinearGradient(0, 0, width, height);
  sky.addColorStop(0, `hsl(${hue} 42% 30%)`);
  sky.addColorStop(1, `hsl(${(hue + 50) % 360} 48% 16%)`);
  context.fillStyle = sky;
  context.fillRect(0, 0, width, height);

  context.fillStyle = `hsl(${hue} 60% 70% / 0.18)`;
  for (let i = 0; i < 3; i += 1) {
    const angle = seconds * (0.5 + i * 0.2) + i * 2.1;
    context.beginPath();
    context.arc(width / 2 + Math.cos(angle) * 220, height / 2 + Math.sin(angle * 1.3) * 110, 46 + i * 22, 0, 2 * Math.PI);
    context.fill();
  }

  const [x, y, radius] = [width / 2, height / 2 - 34, 84];
  context.lineCap = 'round';
  context.strokeStyle = 'rgb(255 255 255 / 0.9)';
  context.lineWidth = 5;
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.stroke();
  const hand = (turn, length, thickness, colour) => {
    context.strokeStyle = colour;
    context.lineWidth = thickness;
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(x + Math.sin(turn * 2 * Math.PI) * length, y - Math.cos(turn * 2 * Math.PI) * length);
    context.stroke();
  };
  hand((now.getHours() % 12) / 12 + now.getMinutes() / 720, radius * 0.5, 7, '#fff');
  hand(now.getMinutes() / 60 + seconds / 3600, radius * 0.75, 5, '#fff');
  hand(seconds / 60, radius * 0.86, 3, '#2fd08d');

  context.fillStyle = '#fff';
  context.textAlign = 'center';
  context.font = '600 34px system-ui, sans-serif';
  context.fillText(name || 'You', x, height - 62, width - 60);
  context.font = '22px ui-monospace, monospace';
  context.fillStyle = 'rgb(255 255 255 / 0.75)';
  context.fillText(now.toTimeString().slice(0, 8), x, height - 28);
}
