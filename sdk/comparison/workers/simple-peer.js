import SimplePeer from 'simple-peer/simplepeer.min.js';

export function use() {
  new SimplePeer({ initiator: true });
  return 'can be made';
}
