import { Peer } from 'peerjs';

export function use({ server }) {
  return new Promise((resolve, reject) => {
    const peer = new Peer(server);
    peer.on('open', () => resolve('connects'));
    peer.on('error', reject);
  });
}
