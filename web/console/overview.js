// Gateways, Redis, rates and counters.
import { chart } from './charts.js';
import { byValue, total } from './cluster.js';
import { age, badge, bytes, el, number, table } from './dom.js';

const COUNTERS = [
  ['Resume', [['Came back, replayed', 'resumed.replayed'], ['Came back, from a snapshot', 'resumed.resync'], ['Too late', 'resumed.gone'], ['Connections lost', 'lost_seats'], ['Rooms brought back in line', 'replays']]],
  ['Faults', [['Faults of ours', 'panics'], ['Messages dropped', 'dropped'], ['Seats of dead gateways', 'reaped_seats'], ['Redis: commands that failed', 'redis_errors'], ['Redis: inboxes made again', 'inbox_reconnects'], ['Redis: messages to itself lost', 'canaries_lost']]],
  ['Refusals', [['Requests of clients', 'refused'], ['For a quota', 'quota_refused'], ['Server API, unread', 'api_refused']]],
];
const milliseconds = (value) => (value > 0 && value < 0.1 ? '< 0.1 ms' : `${number(value)} ms`);
const BAD = new Set(['panics', 'reaped_seats', 'canaries_lost']);

export function overview({ cluster, signal }) {
  const tiles = new Map();
  const strip = el('div', { class: 'tiles' }, ...['Gateways', 'Sessions', 'Connections', 'Rooms in use', 'Seats', 'Messages in /s', 'Messages out /s', 'Joins /s'].map((name) => {
    const value = el('strong', null, '–');
    tiles.set(name, value);
    return el('div', { class: 'card tile' }, el('span', null, name), value);
  }));
  const charts = [chart('Messages a second', ['in', 'out']), chart('Joins and hellos a second', ['joins', 'hellos']), chart('Sessions', ['sessions', 'connections'])];
  const nodes = table('Gateways', [
    { title: 'Gateway' }, { title: 'State' }, { title: 'Sessions', number: true }, { title: 'Connections', number: true }, { title: 'Rooms', number: true }, { title: 'Seats', number: true },
    { title: 'In /s', number: true }, { title: 'Out /s', number: true }, { title: 'CPU', number: true }, { title: 'Memory', number: true }, { title: 'Up', number: true }, { title: 'Version' },
  ], 'No gateway is known.');
  const redis = table('Redis', [
    { title: 'Primary' }, { title: 'State' }, { title: 'Partitions', number: true }, { title: 'Replicas', number: true }, { title: 'Latency', number: true }, { title: 'Slowest', number: true },
    { title: 'A message', number: true }, { title: 'Memory', number: true }, { title: 'Version' },
  ], 'Looking at Redis…');
  const problems = el('p', { class: 'notice', role: 'status', hidden: true });
  const counters = el('div', { class: 'columns' });
  const element = el('div', { class: 'view' }, el('h1', null, 'Overview'), problems, strip, el('div', { class: 'charts' }, ...charts.map((one) => one.element)),
    el('section', { class: 'card' }, el('h2', null, 'Gateways'), nodes.element), el('section', { class: 'card' }, el('h2', null, 'Redis'), redis.element), counters);

  const show = () => {
    const { sample, history } = cluster;
    if (!sample) return;
    const now = history.at(-1);
    problems.hidden = sample.problems.length === 0;
    problems.textContent = `Not known at the moment: ${sample.problems.join(', ')}.`;
    for (const [name, value] of Object.entries({
      Gateways: sample.nodes.length, Sessions: now.sessions, Connections: now.connections, 'Rooms in use': sample.apps.reduce((sum, { rooms }) => sum + rooms, 0), Seats: total(sample.nodes, 'seats'),
      'Messages in /s': now.rates.received, 'Messages out /s': now.rates.sent, 'Joins /s': now.rates['joins.ok'],
    })) tiles.get(name).textContent = number(value);
    const lines = (...read) => history.map((one) => ({ time: one.time, values: read.map((of) => of(one)) }));
    charts[0].show(lines(({ rates }) => rates.received, ({ rates }) => rates.sent));
    charts[1].show(lines(({ rates }) => rates['joins.ok'], ({ rates }) => rates['hellos.ok']));
    charts[2].show(lines(({ sessions }) => sessions, ({ connections }) => connections));
    nodes.fill(sample.nodes.map((node) => [
      el('span', { title: node.node }, el('strong', null, node.name)), node.draining ? badge('draining', 'busy') : badge('serving', 'good'), number(node.sessions), number(node.connections),
      number(node.counts?.rooms), number(node.counts?.seats), number(node.rates.received), number(node.rates.sent),
      'cpu_seconds' in node.rates ? `${number(node.rates.cpu_seconds * 100)} %` : '–', bytes(node.counts?.memory_bytes), age(node.started), node.version,
    ]));
    redis.fill(sample.redis.map((one) => [
      el('strong', null, one.address), one.problem ? badge(one.problem, 'bad') : badge(one.role || 'answers', 'good'), number(one.partitions), number(one.replicas), milliseconds(one.latency),
      milliseconds(one.slowest), milliseconds(one.canary), one.memoryLimit ? `${bytes(one.memoryUsed)} of ${bytes(one.memoryLimit)}` : bytes(one.memoryUsed), one.version ?? '–',
    ]));
    counters.replaceChildren(...COUNTERS.map(([title, lines]) => el('section', { class: 'card' }, el('h2', null, title), el('dl', { class: 'counters' }, ...lines.flatMap(([name, key]) => {
      const value = total(sample.nodes, key);
      return [el('dt', null, name), el('dd', { class: BAD.has(key) && value > 0 ? 'bad' : undefined }, number(value))];
    })))));
  };
  cluster.addEventListener('sample', show, { signal });
  signal.addEventListener('abort', () => charts.forEach((one) => one.end()));
  show();
  return element;
}

/** Relays and what became of calls. */
export function calls({ cluster, signal }) {
  const relays = table('Relays', [{ title: 'Relay' }, { title: 'Region' }, { title: 'State' }, { title: 'Load', number: true }, { title: 'Version' }], 'No relay has told of itself.');
  const outcomes = el('div', { class: 'columns' });
  const element = el('div', { class: 'view' }, el('h1', null, 'Relays and calls'), el('section', { class: 'card' }, el('h2', null, 'Relays'), relays.element), outcomes,
    el('p', { class: 'muted' }, 'What clients report of their connections to peers, since the gateways began.'));
  const show = () => {
    const { sample } = cluster;
    if (!sample) return;
    relays.fill(sample.relays.map((one) => [
      el('strong', null, one.relay), one.region ?? '–', one.draining ? badge('draining', 'busy') : badge('usable', 'good'),
      el('span', null, el('meter', { min: 0, max: 1, high: 0.8, optimum: 0, value: one.load, 'aria-label': `Load of ${one.relay}` }), ` ${number(one.load * 100)} %`), one.version ?? '–',
    ]));
    const card = (title, list) => el('section', { class: 'card' }, el('h2', null, title),
      list.length > 0 ? el('dl', { class: 'counters' }, ...list.flatMap(([name, value]) => [el('dt', null, name), el('dd', null, number(value))])) : el('p', { class: 'muted' }, 'None yet.'));
    outcomes.replaceChildren(card('Outcomes', byValue(sample.nodes, 'calls')), card('Failures by reason', byValue(sample.nodes, 'call_failures')),
      card('ICE restarts', [['restarts', total(sample.nodes, 'call_restarts')]]));
  };
  cluster.addEventListener('sample', show, { signal });
  show();
  return element;
}
