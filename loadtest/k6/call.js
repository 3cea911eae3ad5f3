// Calls in the native protocol for k6 1.0 or newer: two parties on two gateways, an offer, an answer, and candidates of
// both.
//
//   k6 run -e GATEWAYS=127.0.0.1:8080,127.0.0.1:8081 -e RATE=20 -e DURATION=30s loadtest/k6/call.js
//
// The gateways need demo.enabled. k6 costs far more for each message than `loadtest`, so its latencies are of k6, too: use
// it where your other tests are k6's.

import exec from 'k6/execution';
import { Counter, Trend } from 'k6/metrics';
import { WebSocket } from 'k6/websockets';

const GATEWAYS = (__ENV.GATEWAYS || '127.0.0.1:8080,127.0.0.1:8081').split(',');
const CANDIDATES = 10; // of each party
const TIMEOUT = 10000; // ms, for one call

const setup = new Trend('call_setup', true);
const hop = new Trend('hop', true);
const calls = new Counter('calls');
const failures = new Counter('call_failures');

export const options = {
  scenarios: {
    calls: {
      executor: 'constant-arrival-rate', // an open loop: calls begin whether or not earlier ones are set up
      rate: Number(__ENV.RATE || 20),
      timeUnit: '1s',
      duration: __ENV.DURATION || '30s',
      preAllocatedVUs: 50,
      maxVUs: 500,
    },
  },
  thresholds: { call_failures: ['count==0'], call_setup: ['p(99)<1000'] },
};

const sdp = 'v=0\r\n'.padEnd(2500, 'a=rtpmap:96 VP8/90000\r\n');
const candidate = 'candidate:842163049 1 udp 1677729535 203.0.113.7 46154 typ srflx raddr 192.0.2.9 rport 46154';

/** One member of a room. It calls ready when it has its seat, and done when it has all that the other one sends. */
class Party {
  constructor(gateway, room, { ready, done, failed }) {
    this.room = room;
    this.next = 0; // the number of the last request
    this.left = 1 + CANDIDATES;
    this.seen = 0; // the number of the last event
    this.callbacks = { ready, done, failed };
    this.socket = new WebSocket(`ws://${gateway}/v1/connect`, 'signalbox.v1');
    this.socket.addEventListener('open', () => this.request({ type: 'hello', app: 'demo', client: 'k6' }));
    this.socket.addEventListener('message', (event) => this.take(JSON.parse(event.data)));
    this.socket.addEventListener('error', (event) => failed(event.error));
  }

  request(message) {
    this.next += 1;
    this.socket.send(JSON.stringify({ id: this.next, ...message }));
  }

  /** Sends a description and then candidates to the other one. */
  talk(kind) {
    this.signal({ description: { type: kind, sdp } });
    for (let i = 0; i < CANDIDATES; i++) this.signal({ candidate: { candidate, sdpMid: '0', sdpMLineIndex: 0 } });
  }

  signal(data) {
    this.request({ type: 'signal', room: this.room, to: this.other, data: { ...data, sent: Date.now() } });
  }

  take(message) {
    if (message.error) {
      this.callbacks.failed(message.error.code);
    } else if (message.re === 1) {
      this.request({ type: 'join', room: this.room });
    } else if (message.re === 2) {
      const other = message.ok.peers.find((peer) => peer.id !== message.ok.self);
      if (other) this.other = other.id;
      this.callbacks.ready();
    } else if (message.type === 'joined-peer') {
      this.other = message.peer.id;
      this.talk('offer');
    } else if (message.type === 'signal') {
      this.takeSignal(message);
    }
  }

  takeSignal({ seq, data }) {
    if (seq <= this.seen) this.callbacks.failed('double or out of order');
    this.seen = seq;
    hop.add(Date.now() - data.sent);
    if (data.description && data.description.type === 'offer') this.talk('answer');
    this.left -= 1;
    if (this.left === 0) this.callbacks.done();
  }

  close() {
    this.socket.close(1000);
  }
}

export default function call() {
  const n = exec.scenario.iterationInTest;
  const room = `k6-${exec.vu.idInTest}-${n}`;
  const began = Date.now();
  const parties = [];
  let complete = 0;
  let over = false;
  let timer;

  const end = (failure) => {
    if (over) return;
    over = true;
    clearTimeout(timer);
    if (failure) {
      failures.add(1);
      console.error(`call ${n}: ${failure}`);
    } else {
      calls.add(1);
      setup.add(Date.now() - began);
    }
    parties.forEach((party) => party.close());
  };
  const done = () => {
    complete += 1;
    if (complete === 2) end();
  };
  const enter = (i, ready) => {
    parties[i] = new Party(GATEWAYS[(n + i) % GATEWAYS.length], room, { ready, done, failed: (what) => end(what || 'failed') });
  };

  timer = setTimeout(() => end('not set up in time'), TIMEOUT);
  enter(0, () => enter(1, () => {})); // the second party comes when the first has its seat
}
