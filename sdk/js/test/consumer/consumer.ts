// What an application in TypeScript may write, and may not: compiled against the packed package in strict mode.

import {
  Call, CallChannel, ConflictError, NotSeatedError, PeerConnection, Room, Signalbox, SignalboxError, spotlightPeer, Waiting,
  type CallEvents, type ErrorCode, type HistoryPage, type JoinOptions, type KeptMessage, type Peer, type PeerStats, type Quality, type RequestOptions, type RoomChanges,
  type RoomEvents, type RoomStatus, type SignalboxOptions, type Spotlight, type Waiter,
} from '@signalbox/client';

const options: SignalboxOptions = { app: 'demo', name: 'Ada', backoff: { min: 100 }, getToken: async () => 'token' };

export async function clients(signal: AbortSignal): Promise<void> {
  const client = new Signalbox(new URL('https://rtc.example.org'), options);
  client.addEventListener('state', ({ detail }) => {
    const state: 'connecting' | 'connected' | 'reconnecting' | 'closed' = detail.state;
    // @ts-expect-error: there is no such state
    if (state === 'dead') return;
    detail.error?.code satisfies ErrorCode | undefined;
  }, { once: true, signal });
  // @ts-expect-error: there is no such event
  client.addEventListener('stat', () => {});
  // @ts-expect-error: an option that there is not
  new Signalbox('https://rtc.example.org', { tokens: 'token' });
  // @ts-expect-error: it is the client that tells
  client.emit('state', { state: 'closed' });
  await client.connect({ signal });
  const expires: number = await client.refresh('token', { timeout: 1_000 });
  const { session, user, name, node }: { session: string | undefined; user: string | undefined; name: string | undefined; node: string | undefined } = client;
  const count: number = (await client.peers('lobby', { list: true })).count;
  console.log(expires, session, user, name, node, count, client.limits.rooms ?? 0, client.now());
  const connection = new RTCPeerConnection({ iceServers: client.iceServers });
  connection.close();
  client.close();
}

export async function streams(signal: AbortSignal): Promise<void> {
  await using client = await Signalbox.connect('https://rtc.example.org', { app: 'demo', signal });
  await using room = await client.join('lobby');
  for await (const event of room.events({ signal, limit: 100, overflow: 'drop' })) {
    if (event.type === 'peer-joined') console.log(event.detail.peer.name);
    // @ts-expect-error: that is not told of every event
    console.log(event.detail.peer.name);
  }
  for await (const { type, detail } of client.events({ types: ['state', 'ice'] })) {
    if (type === 'ice') detail.iceServers satisfies RTCIceServer[];
    // @ts-expect-error: it was not asked for
    if (type === 'goaway') return;
  }
  for await (const { data, peer } of room.messages('chat', { signal })) console.log(peer?.name, data.text);
}

export async function rooms(client: Signalbox, signal: AbortSignal): Promise<void> {
  const asked: JoinOptions = { state: { mic: true }, capacity: 6 };
  const room: Room = await client.join('lobby', { ...asked, wait: true, signal, onPosition: ({ position, reason }) => console.log(position, reason) });
  const request: RequestOptions = { signal, timeout: 5_000 };
  const seq: number = await room.publish({ text: 'hello' }, { topic: 'chat', keep: true, ...request });
  const [peer] = room.peers.values();
  if (!peer) return;
  await room.signal(peer, { any: 'thing' }, request);
  // @ts-expect-error: what moderators mute is audio or video
  await room.mute(peer, 'sound');
  // @ts-expect-error: a room is changed by its methods
  room.locked = true;
  await room.kick(peer, { text: 'Good bye', ...request });
  await room.setState({ mic: null });
  const changes: RoomChanges = { capacity: 4, spotlight: { interval: 1_000, order: [peer.id] } };
  const version: number = await room.update(changes);
  await room.edit(({ properties }) => (properties['done'] ? undefined : { properties: { done: true } }), { signal });
  await room.setPresenter(peer, { from: null });
  for await (const page of room.history('chat', { limit: 10, ...request })) {
    page satisfies HistoryPage;
    for (const message of page.messages) message satisfies KeptMessage;
  }
  // @ts-expect-error: nothing else is kept
  room.history('gossip');
  room.addEventListener('message', ({ detail }) => {
    const from: Peer | undefined = detail.peer;
    console.log(from?.name, detail.topic, detail.volatile);
  });
  room.addEventListener('closed', { handleEvent: ({ detail }) => detail.reason satisfies RoomEvents['closed']['reason'] });
  const status: RoomStatus = room.status;
  const turn: Spotlight | null = room.spotlight;
  if (turn) console.log(spotlightPeer(turn, client.now(), (id) => room.peers.has(id)), status, seq, version);
  const waiter: Waiter | undefined = [...room.queue.values()][0];
  if (waiter) await room.admit(waiter);
  await room.leave();
}

export async function waits(client: Signalbox): Promise<Room | undefined> {
  const waiting: Waiting = client.wait('stand-up', { capacity: 2 });
  waiting.addEventListener('position', ({ detail }) => console.log(detail.position, detail.count));
  try {
    return await waiting.room;
  } catch (error) {
    if (error instanceof NotSeatedError) console.log(error.code satisfies ErrorCode, error.by);
    else if (error instanceof ConflictError) console.log(error.version);
    else if (error instanceof SignalboxError && error.code === 'room_full') console.log(error.retryable, error.retryAfter, error.closeCode);
    // @ts-expect-error: there is no such code
    else if (error instanceof SignalboxError && error.code === 'room_fool') console.log(error.cause);
    return undefined;
  }
}

export async function calls(client: Signalbox, room: Room, stream: MediaStream): Promise<void> {
  const call = new Call(client, room, { stream, configuration: { bundlePolicy: 'max-bundle' } });
  const video = document.createElement('video');
  call.addEventListener('track', ({ detail }) => {
    video.srcObject = detail.streams[0] ?? null;
  });
  call.addEventListener('connection', ({ detail }: CustomEvent<CallEvents['connection']>) => console.log(detail.state, detail.peer.name));
  const [track, other] = stream.getTracks();
  if (track && other) {
    call.addTrack(track, stream);
    call.setStreams(track, stream);
    await call.replaceTrack(track, other);
    call.removeTrack(other);
  }
  for (const connection of call.connections.values()) console.log(connection satisfies PeerConnection, connection.pc.iceConnectionState);
  await call.setStream(await navigator.mediaDevices.getUserMedia({ video: true }));
  const screen = await navigator.mediaDevices.getDisplayMedia();
  call.addStream(screen, 'screen');
  call.addEventListener('track-removed', ({ detail }) => console.log(detail.purpose satisfies string, detail.stream.id));
  call.addEventListener('own-track', ({ detail }) => console.log(detail.replacement?.label ?? 'none'));
  call.addEventListener('stats', ({ detail }) => {
    for (const [id, { rtt, quality }] of detail.stats) {
      console.log(id, rtt?.toFixed(), quality satisfies Quality);
      // @ts-expect-error: a round trip may be unknown
      console.log(rtt.toFixed());
    }
  });
  const files: CallChannel = call.channel('files', { ordered: false, maxRetransmits: 0 });
  files.addEventListener('message', ({ detail }) => console.log(typeof detail.data === 'string' ? detail.data : detail.data.byteLength));
  const reached: number = await files.send(new Uint8Array(8), { volatile: true, signal: AbortSignal.timeout(1_000) });
  // @ts-expect-error: an object is no message
  await files.send({ reached });
  const stats: Map<string, PeerStats> = await call.stats();
  call.removeStream(screen);
  console.log(stats.size);
  call.close();
}
