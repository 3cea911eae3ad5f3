// simple-peer has no signaling: here it is that of the Signalbox client.
import { Signalbox } from '@signalbox/client';
import SimplePeer from 'simple-peer';

export async function call(name: string, stream: MediaStream, show: (stream: MediaStream) => void) {
  const client = new Signalbox('http://localhost:8080', { app: 'demo', name: 'Ada' });
  await client.connect();
  const room = await client.join(name, { capacity: 2 });
  const peers = new Map<string, SimplePeer.Instance>();
  const open = (id: string, initiator: boolean) => {
    const peer = new SimplePeer({ initiator, stream, config: { iceServers: client.iceServers } });
    peer.on('signal', (data) => room.signal(id, data));
    peer.on('stream', show);
    peer.on('error', console.warn);
    peers.set(id, peer);
  };
  room.addEventListener('signal', ({ detail }) => peers.get(detail.from)?.signal(detail.data));
  room.addEventListener('peer-joined', ({ detail }) => open(detail.peer.id, false));
  room.addEventListener('peer-left', ({ detail }) => peers.get(detail.peer.id)?.destroy());
  for (const id of room.peers.keys()) if (id !== room.self.id) open(id, true);
}
