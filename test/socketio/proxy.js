// A proxy that sends every request to a gateway at random, as a load balancer without sticky sessions does.

import { once } from 'node:events';
import { Agent, createServer, request } from 'node:http';
import { connect } from 'node:net';

/** What a gateway says of a session that it neither has nor finds on another one. */
const UNKNOWN = 'Session ID unknown';

/** Headers that belong to one connection (RFC 9110, section 7.6.1). */
const HOP = new Set(['connection', 'keep-alive']);

/**
 * Starts a proxy. Bytes go by as they come, in both directions; who breaks off is told to the other side at once.
 *
 * @param {string[]} targets base URLs
 */
export async function startProxy(targets) {
  const counts = new Map(targets.map((target) => [target, 0]));
  const refusals = [];
  const nears = new Set();
  const underway = new Set(); // requests and WebSockets at gateways
  const agent = new Agent({ keepAlive: true });
  let isCut = false;

  /** The target of one request. */
  function pick() {
    const live = [...counts.keys()];
    const target = live[Math.floor(Math.random() * live.length)];
    counts.set(target, counts.get(target) + 1);
    return target;
  }

  /** Notes what goes to a target, as long as it does. */
  function note(far, target, path) {
    const passage = { target, sid: new URL(path, target).searchParams.get('sid'), asked: Infinity };
    underway.add(passage);
    far.on('close', () => underway.delete(passage));
    return passage;
  }

  function refused(method, status, body) {
    refusals.push({ method, status, body });
  }

  const server = createServer((req, res) => {
    const target = pick();
    const { hostname, port } = new URL(target);
    const far = request({
      hostname, port, agent, method: req.method, path: req.url, headers: headersOf(req.rawHeaders), setHost: false,
    });
    const passage = note(far, target, req.url);
    far.on('finish', () => (passage.asked = performance.now()));
    far.on('response', (answer) => {
      passage.asked = Infinity;
      res.writeHead(answer.statusCode, answer.statusMessage, headersOf(answer.rawHeaders).flat());
      res.flushHeaders();
      answer.pipe(res);
      answer.on('close', () => {
        if (!answer.complete) res.destroy();
      });
      if (answer.statusCode >= 400) {
        const body = [];
        answer.on('data', (chunk) => body.push(chunk));
        answer.on('end', () => refused(req.method, answer.statusCode, String(Buffer.concat(body))));
      }
    });
    far.on('error', (error) => {
      if (res.headersSent || res.destroyed) {
        res.destroy();
        return;
      }
      refused(req.method, 502, error.message);
      res.writeHead(502).end();
    });
    res.on('close', () => {
      if (!res.writableFinished) far.destroy();
    });
    req.on('error', () => {}); // res closes, too
    req.pipe(far);
  });

  server.on('upgrade', (req, near, head) => {
    const target = pick();
    const { hostname, port } = new URL(target);
    const far = connect(Number(port), hostname);
    note(far, target, req.url);
    const lines = [`${req.method} ${req.url} HTTP/1.1`];
    for (let i = 0; i < req.rawHeaders.length; i += 2) lines.push(`${req.rawHeaders[i]}: ${req.rawHeaders[i + 1]}`);
    far.setNoDelay(true);
    far.write(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
    far.write(head);
    far.once('data', (chunk) => {
      const [, status] = /^HTTP\/1\.1 (\d+)/.exec(String(chunk)) ?? [];
      if (status !== '101') refused('UPGRADE', Number(status), String(chunk));
    });
    for (const [one, other] of [[near, far], [far, near]]) {
      one.pipe(other);
      one.on('error', () => {});
      one.on('close', () => other.destroy());
    }
  });

  server.on('connection', (near) => {
    if (isCut) {
      near.resetAndDestroy();
      return;
    }
    nears.add(near);
    near.on('close', () => nears.delete(near));
  });
  server.keepAliveTimeout = 60_000; // a client must not meet a connection that is just being closed
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  const cut = () => {
    isCut = true;
    for (const near of nears) near.resetAndDestroy();
  };
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    /** Requests by target. */
    counts,
    /** How long a request has waited for its answer, in milliseconds; of several the one that waits longest. */
    get waiting() {
      return Math.max(0, ...[...underway].map(({ asked }) => performance.now() - asked));
    },
    /** Whether a request or the WebSocket of a session is under way to a target. */
    carries(sid, to) {
      return [...underway].some((one) => one.sid === sid && one.target === to);
    },
    /** Answers that are errors: method, status, body. */
    refusals,
    /** How many of them say that a session is unknown. */
    get unknown() {
      return refusals.filter(({ body }) => body.includes(UNKNOWN)).length;
    },
    /** Cuts every connection, and lets nothing new pass until it is mended. */
    cut,
    mend() {
      isCut = false;
    },
    /** Sends nothing to a target any more. */
    drop(target) {
      counts.delete(target);
    },
    async stop() {
      cut();
      agent.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Headers as pairs, without those of the connection that they came over. */
function headersOf(raw) {
  const pairs = [];
  for (let i = 0; i < raw.length; i += 2) {
    if (!HOP.has(raw[i].toLowerCase())) pairs.push([raw[i], raw[i + 1]]);
  }
  return pairs;
}
