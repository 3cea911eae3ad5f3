// The page around each of the others: a picture of its own, and what is measured.

import { start } from 'the-library';

/** A picture that changes. */
function picture(hue) {
  const canvas = document.createElement('canvas');
  const context = canvas.getContext('2d');
  setInterval(() => {
    context.fillStyle = `hsl(${hue} 80% ${30 + Math.random() * 40}%)`;
    context.fillRect(0, 0, canvas.width, canvas.height);
  }, 50);
  return canvas.captureStream();
}

const open = () => window.peerConnections.filter(({ signalingState }) => signalingState !== 'closed');

/** Frames that were painted, by track. */
const shown = new Map();

function show(track) {
  const video = Object.assign(document.createElement('video'), { muted: true, autoplay: true, width: 80, srcObject: new MediaStream([track]) });
  document.body.append(video);
  shown.set(track, 0);
  const count = () => {
    shown.set(track, shown.get(track) + 1);
    video.requestVideoFrameCallback(count);
  };
  video.requestVideoFrameCallback(count);
}

window.compared = {
  async join(options) {
    window.handle = await start({ ...options, stream: picture(200) });
  },
  canAdd: () => Boolean(window.handle.add),
  add() {
    const stream = picture(20);
    window.handle.add(stream.getTracks()[0], stream);
  },
  signals: () => window.handle.signals(),
  /** Pictures that are seen, over all connections. A track may be called muted that shows pictures, and the other way about. */
  pictures() {
    for (const { track } of open().flatMap((pc) => pc.getReceivers())) if (track?.kind === 'video' && !shown.has(track)) show(track);
    return [...shown.values()].filter((frames) => frames > 5).length;
  },
  async bytes() {
    const stats = await Promise.all(open().map((pc) => pc.getStats()));
    return stats.flatMap((one) => [...one.values()]).filter(({ type }) => type === 'inbound-rtp').reduce((sum, { bytesReceived }) => sum + bytesReceived, 0);
  },
};
