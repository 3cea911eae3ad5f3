import { Peer } from 'peerjs';

export function start({ server, room, stream }) {
  return new Promise((resolve, reject) => {
    const first = new Peer(room, server);
    const handle = (peer) => resolve({ add: undefined, signals: () => peer.open && !peer.disconnected });
    first.on('open', () => handle(first));
    first.on('call', (media) => media.answer(stream));
    first.on('error', ({ type }) => {
      if (type !== 'unavailable-id') return;
      const second = new Peer(server);
      second.on('open', () => {
        second.call(room, stream);
        handle(second);
      });
      second.on('error', (error) => reject(error));
    });
  });
}
