// PeerJS has no rooms: whoever comes first takes the name, whoever comes then calls it.
import { Peer } from 'peerjs';

const SERVER = { host: 'localhost', port: 9000, path: '/calls' };

export function call(name: string, stream: MediaStream, show: (stream: MediaStream) => void) {
  const first = new Peer(name, SERVER);
  first.on('call', (media) => {
    media.answer(stream);
    media.on('stream', show);
  });
  first.on('error', ({ type }) => {
    if (type !== 'unavailable-id') return;
    const second = new Peer(SERVER);
    second.on('open', () => second.call(name, stream).on('stream', show));
  });
}
