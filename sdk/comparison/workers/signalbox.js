import { Signalbox } from '@signalbox/client';

export async function use({ gateway }) {
  const client = new Signalbox(gateway, { app: 'demo', name: 'Worker' });
  await client.connect();
  const room = await client.join('worker');
  await room.publish('from a worker', { topic: 'chat' });
  client.close();
  return 'connects, joins and publishes';
}
