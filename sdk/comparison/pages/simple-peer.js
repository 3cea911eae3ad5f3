import { Signalbox } from '@signalbox/client';
import SimplePeer from 'simple-peer/simplepeer.min.js';

export async function start({ gateway, room: name, stream }) {
  const client = new Signalbox(gateway, { app: 'demo', name: 'Ada' });
  await client.connect();
  const room = await client.join(name, { capacity: 2 });
  let peer;
  const open = (id, initiator) => {
    peer = new SimplePeer({ initiator, stream, config: { iceServers: client.iceServers } });
    peer.on('signal', (data) => room.signal(id, data));
    peer.on('error', (error) => (globalThis.fault = error.code));
  };
  room.addEventListener('signal', ({ detail }) => peer.signal(detail.data));
  room.addEventListener('peer-joined', ({ detail }) => open(detail.peer.id, false));
  for (const id of room.peers.keys()) if (id !== room.self.id) open(id, true);
  return { add: (track, stream) => peer.addTrack(track, stream), signals: () => client.state === 'connected' };
}
