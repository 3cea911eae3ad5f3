import { Call, Signalbox } from '@signalbox/client';

export async function call(name: string, stream: MediaStream, show: (stream: MediaStream) => void) {
  const client = new Signalbox('http://localhost:8080', { app: 'demo', name: 'Ada' });
  await client.connect();
  const room = await client.join(name, { capacity: 2 });
  const call = new Call(client, room, { stream });
  call.addEventListener('track', ({ detail }) => show(detail.streams[0]));
}
