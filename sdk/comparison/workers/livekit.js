import { Room } from 'livekit-client';

export function use() {
  new Room();
  return 'can be made';
}
