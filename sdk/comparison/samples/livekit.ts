// LiveKit sends media through its server; the token names the room.
import { Room, RoomEvent } from 'livekit-client';

export async function call(token: string, stream: MediaStream, show: (stream: MediaStream) => void) {
  const room = new Room();
  room.on(RoomEvent.TrackSubscribed, ({ mediaStreamTrack }) => show(new MediaStream([mediaStreamTrack])));
  await room.connect('ws://localhost:7880', token);
  for (const track of stream.getTracks()) await room.localParticipant.publishTrack(track);
}
