// A chat room of a stock socket.io client, in the shape of the Signalbox client's rooms.

/** How often a seat that one's lost connection still holds is asked for, and after how long, in milliseconds. */
const ATTEMPTS = 10;
const PAUSE = 2_000;

/**
 * A seat in a chat room. The classic events tell ids: names are known of those who come while one is there, and of
 * those who write.
 */
export class StockRoom extends EventTarget {
  #client;
  #name;
  #self;
  #status = 'rejoining';
  #peers = new Map();
  /** Those who were there before the connection was lost: their names are known. */
  #before = new Map();
  #listening = new AbortController();
  /** What the server said before it took the seat. */
  #closing = null;
  /** Counts connections, so that the last one alone asks for a seat. */
  #turns = 0;

  /**
   * @param {import('./stock-client.js').StockClient} client connected to a namespace of chats
   * @param {string} room
   * @param {string} name one's own
   */
  static async join(client, room, name) {
    const joined = new StockRoom(client, room, name);
    await joined.#join();
    return joined;
  }

  constructor(client, room, name) {
    super();
    this.#client = client;
    this.#name = room;
    this.#self = { id: '', name, away: false };
    const handlers = {
      joined: (room, id) => this.#joined(id),
      message: (room, from, data) => this.#message(from, data),
      bye: (room, id) => this.#gone(id),
      control: (room, event) => this.#control(event),
      leaved: () => this.#close(this.#closing ?? { reason: 'left' }),
    };
    for (const [event, handle] of Object.entries(handlers)) client.socket.on(event, (...args) => args[0] === room && handle(...args));
    client.addEventListener('state', ({ detail }) => this.#connection(detail), { signal: this.#listening.signal });
  }

  get name() {
    return this.#name;
  }

  get status() {
    return this.#status;
  }

  get self() {
    return this.#self;
  }

  get peers() {
    return this.#peers;
  }

  /** Sends to everybody in the room, oneself included. */
  async publish(data) {
    return (await this.#client.ask('message', this.#name, data)).seq;
  }

  async #join() {
    const { others } = await this.#client.ask('join', this.#name);
    const present = others.map((id) => [id, this.#before.get(id) ?? { id, name: '', away: false }]);
    this.#peers = new Map([...present, [this.#self.id, this.#self], ...this.#peers]);
    this.#setStatus('joined');
  }

  /** The seat is there; who else is in the room comes with the answer to join, those who come later by themselves. */
  #joined(id) {
    this.#self = { ...this.#self, id };
    this.#before = this.#peers;
    this.#peers = new Map();
  }

  /** After a lost connection: to the others one is somebody new. */
  async #rejoin() {
    const turn = ++this.#turns;
    for (let attempt = 1; this.#status !== 'closed' && turn === this.#turns; attempt += 1) {
      try {
        await this.#join();
        this.#emit('resync', { newSeat: true });
        return;
      } catch (error) {
        if (this.#status === 'closed' || error.code === 'disconnected') return; // with the next connection
        if (error.code !== 'room_full' || attempt >= ATTEMPTS) {
          this.#close({ reason: 'lost', error });
          return;
        }
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  }

  #connection({ state, error }) {
    if (state === 'closed') this.#close({ reason: error?.code === 'closed' ? 'left' : 'lost', error });
    else if (state === 'reconnecting') this.#setStatus('rejoining');
    else if (state === 'connected' && this.#status === 'rejoining') this.#rejoin();
  }

  #message(from, data) {
    const name = typeof data?.name === 'string' ? data.name : '';
    const known = this.#peers.get(from);
    if (known && !known.name && name) this.#change(from, { name });
    this.#emit('message', { from, peer: this.#peers.get(from) ?? { id: from, name }, topic: 'message', data });
  }

  #control(event) {
    switch (event.type) {
      case 'joined-peer': {
        const { id, name } = event.peer;
        const peer = { id, name: name ?? '', away: false };
        this.#peers.set(id, peer);
        this.#emit('peer-joined', { peer });
        break;
      }
      case 'away-peer':
      case 'back-peer':
        this.#change(event.peer, { away: event.type === 'away-peer' });
        break;
      case 'closed':
        this.#closing = { reason: event.reason };
        break;
    }
  }

  #gone(id) {
    const peer = this.#peers.get(id);
    if (!peer || id === this.#self.id) return;
    this.#peers.delete(id);
    this.#emit('peer-left', { peer });
  }

  #change(id, change) {
    const peer = this.#peers.get(id);
    if (!peer) return;
    this.#peers.set(id, { ...peer, ...change });
    this.#emit('peer-state', { peer: this.#peers.get(id) });
  }

  #close(closing) {
    if (this.#status === 'closed') return;
    this.#listening.abort();
    this.#setStatus('closed');
    this.#emit('closed', closing);
  }

  #setStatus(status) {
    if (this.#status === status) return;
    this.#status = status;
    this.#emit('status', { status });
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
