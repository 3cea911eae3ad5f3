// A stock client in a process of its own, which the test freezes.
//
//   node frozen.js <number of the combination> <url> <room>
//
// It says the id of its socket, once it has joined and reached the last transport of its way.

import { COMBINATIONS } from './clients.js';
import { Peer } from './peer.js';

const [number, url, room] = process.argv.slice(2);
const peer = await new Peer(COMBINATIONS[Number(number)], url, { reconnection: false }).arrive();
await peer.do('join', room);
console.log(`joined ${peer.id} ${peer.socket.io.engine.transport.name}`);
