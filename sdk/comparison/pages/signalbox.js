import { Call, Signalbox } from '@signalbox/client';

export async function start({ gateway, room: name, stream }) {
  const client = new Signalbox(gateway, { app: 'demo', name: 'Ada' });
  await client.connect();
  const room = await client.join(name, { capacity: 2 });
  const call = new Call(client, room, { stream });
  return { add: (track, stream) => call.addTrack(track, stream), signals: () => client.state === 'connected' };
}
