// The server API, as the console uses it. The key is in the tab's own storage and in the Authorization header: a cookie would go along with
// what other sites have a browser send.

const STORED = 'signalbox-console-key';

/** What the API has refused. */
export class Refusal extends Error {
  constructor(status, problem) {
    super(problem?.detail || problem?.title || `status ${status}`);
    this.status = status;
    this.code = problem?.code ?? 'unknown';
    this.retryAfter = problem?.retryAfter ?? 0;
  }
}

export const key = {
  get: () => sessionStorage.getItem(STORED),
  set: (value) => sessionStorage.setItem(STORED, value),
  forget: () => sessionStorage.removeItem(STORED),
};

/** A path of names, each of which may be anything. */
export const path = (...names) => `/v1/${names.map(encodeURIComponent).join('/')}`;

async function send(method, where, { query, body, signal, accept } = {}) {
  const url = new URL(where, location.origin);
  for (const [name, value] of Object.entries(query ?? {})) if (value !== undefined && value !== '') url.searchParams.set(name, value);
  const headers = { Authorization: `Bearer ${key.get() ?? ''}`, Accept: accept ?? 'application/json' };
  if (body) headers['Content-Type'] = 'application/json';
  const response = await fetch(url, { method, headers, body: body && JSON.stringify(body), signal, cache: 'no-store', credentials: 'omit', redirect: 'error' });
  if (response.ok) return response;
  const refusal = new Refusal(response.status, await response.json().catch(() => undefined));
  if (refusal.status === 401) dispatchEvent(new Event('key-refused'));
  throw refusal;
}

export const get = async (where, query, signal) => (await send('GET', where, { query, signal })).json();
export const post = async (where, body) => (await send('POST', where, { body: body ?? {} })).json();
export const remove = async (where, query) => (await send('DELETE', where, { query })).json();

/** How long a stream may be silent, in milliseconds: the API sends a beat every 15 s. */
const SILENCE = 40_000;

/**
 * Follows a stream of server-sent events until signal aborts or ended says that an event was the last one. A lost stream is asked for again.
 *
 * @param {string} where
 * @param {{query?: object, signal: AbortSignal, event: (kind: string, data: any) => boolean | void, state: (isOpen: boolean, error?: Error) => void}} options
 *   event gives true for the last event
 */
export async function follow(where, { query, signal, event, state }) {
  let last;
  let pause = 500;
  while (!signal.aborted) {
    try {
      for await (const { id, kind, data } of events(where, query, last, signal, () => state(true))) {
        pause = 500;
        last = id ?? last;
        if (event(kind, data)) return;
      }
      throw new Error('the stream has ended');
    } catch (error) {
      if (signal.aborted) return;
      state(false, error);
      if (error.status === 401 || error.status === 403 || error.status === 404) return;
      await new Promise((resolve) => setTimeout(resolve, Math.max(error.retryAfter ?? 0, pause * (0.5 + Math.random() / 2))));
      pause = Math.min(2 * pause, 10_000);
    }
  }
}

async function* events(where, query, last, signal, opened) {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), SILENCE);
  try {
    const url = new URL(where, location.origin);
    for (const [name, value] of Object.entries(query ?? {})) url.searchParams.set(name, value);
    const headers = { Authorization: `Bearer ${key.get() ?? ''}`, Accept: 'text/event-stream' };
    if (last) headers['Last-Event-ID'] = last;
    const response = await fetch(url, { headers, signal: AbortSignal.any([signal, silence.signal]), cache: 'no-store', credentials: 'omit', redirect: 'error' });
    if (!response.ok) {
      const refusal = new Refusal(response.status, await response.json().catch(() => undefined));
      if (refusal.status === 401) dispatchEvent(new Event('key-refused'));
      throw refusal;
    }
    opened();
    let rest = '';
    for (const reader = response.body.pipeThrough(new TextDecoderStream()).getReader(); ;) {
      const { value, done } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE);
      const blocks = (rest + value).split('\n\n');
      rest = blocks.pop();
      for (const block of blocks) {
        const found = {};
        for (const line of block.split('\n')) {
          const at = line.indexOf(': ');
          if (at > 0) found[line.slice(0, at)] = line.slice(at + 2);
        }
        if (found.event) yield { id: found.id, kind: found.event, data: JSON.parse(found.data) };
      }
    }
  } finally {
    clearTimeout(timer);
  }
}
