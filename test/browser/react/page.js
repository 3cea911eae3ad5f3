// A page of React components on the hooks, in StrictMode; which React is up to the bundle.

import { createElement as h, StrictMode, useEffect, useRef, useState, version } from 'react';
import { createRoot } from 'react-dom/client';
import { useCall, usePeers, useRoom, useSignalbox } from '@signalbox/client/react';

const { searchParams } = new URL(location.href);
const [url, name] = ['gateway', 'name'].map((key) => searchParams.get(key));

window.sockets = 0;
window.WebSocket = class extends WebSocket {
  constructor(...args) {
    super(...args);
    window.sockets += 1;
  }
};

/** A picture that changes, of a colour of its own. */
function picture(hue) {
  const canvas = document.createElement('canvas');
  const context = canvas.getContext('2d');
  setInterval(() => {
    context.fillStyle = `hsl(${hue} 80% ${30 + Math.random() * 40}%)`;
    context.fillRect(0, 0, canvas.width, canvas.height);
  }, 50);
  return canvas.captureStream();
}

function Video({ stream }) {
  const element = useRef(null);
  useEffect(() => {
    element.current.srcObject = stream ?? null;
  }, [stream]);
  return h('video', { ref: element, autoPlay: true, muted: true, playsInline: true, width: 160 });
}

function Names({ room }) {
  const peers = usePeers(room);
  return h('p', { id: 'peers' }, peers.map((peer) => peer.name).join(', '));
}

function Meeting({ client, room: name }) {
  const [stream, setStream] = useState(null);
  const { room, status, error, call, remotes, rejoin } = useCall(client, name, { capacity: 2, stream });
  window.shown = { room, call, rejoin };
  return h('section', null,
    h('p', { id: 'status' }, error ? error.code : status),
    h('button', { id: 'picture', onClick: () => setStream(picture(200)) }, 'Picture'),
    h('button', { id: 'other', onClick: () => setStream(picture(20)) }, 'Another picture'),
    h('button', { id: 'rejoin', onClick: rejoin }, 'Again'),
    h(Names, { room }),
    remotes.map(({ peer, streams, state }) => h('div', { key: peer.id, className: 'remote' }, `${peer.name}: ${state}`, h(Video, { stream: streams[0] }))));
}

function Listener({ client }) {
  const [heard, setHeard] = useState('');
  const { room, closed } = useRoom(client, 'lounge', {
    onJoin: (room) => room.addEventListener('message', ({ detail }) => setHeard(detail.data)),
  });
  return h('p', { id: 'lounge' }, closed ? `closed: ${closed.reason}` : room ? `heard: ${heard}` : '');
}

function App() {
  const [on, setOn] = useState(true);
  const [room, setRoom] = useState('first');
  const { client, state } = useSignalbox(on ? url : null, { app: 'demo', name });
  window.client = client;
  return h('main', null,
    h('p', { id: 'version' }, version),
    h('p', { id: 'state' }, state),
    h('button', { id: 'switch', onClick: () => setOn(!on) }, on ? 'Off' : 'On'),
    h('button', { id: 'move', onClick: () => setRoom('second') }, 'Second room'),
    h(Listener, { client }),
    on ? h(Meeting, { client, room }) : null);
}

createRoot(document.querySelector('#root')).render(h(StrictMode, null, h(App)));
