// Lines over the last minutes, drawn by uPlot.
import { el, number } from './dom.js';

/** How many samples are kept: ten minutes of one every two seconds. */
const KEPT = 300;
const HEIGHT = 150;

/** A colour of the sheet as it is now, light or dark: what a canvas takes is what an element that has it computes. */
function colour(name, share = 100) {
  const probe = document.body.appendChild(el('span', { hidden: true }));
  probe.style.color = `color-mix(in srgb, var(${name}) ${share}%, transparent)`;
  const computed = getComputedStyle(probe).color;
  probe.remove();
  return computed;
}
const COLOURS = ['--brand', '--lamp-busy', '--danger'];

/**
 * @param {string} title
 * @param {string[]} names of the lines
 */
export function chart(title, names) {
  const data = [[], ...names.map(() => [])];
  const values = names.map(() => el('strong', null, '–'));
  const canvas = el('div', { class: 'plot', 'aria-hidden': 'true' });
  const legend = names.map((name, i) => el('span', { class: `legend legend-${i}` }, `${name} `, values[i]));
  const element = el('figure', { class: 'card chart' }, el('figcaption', null, el('h2', null, title), el('span', { class: 'legends' }, ...legend)), canvas);
  let plot;
  const make = () => {
    plot?.destroy();
    const axis = { stroke: colour('--muted'), grid: { stroke: colour('--line'), width: 1 }, ticks: { show: false }, font: '12px system-ui, sans-serif' };
    plot = new uPlot({
      width: Math.max(200, canvas.clientWidth), height: HEIGHT, legend: { show: false }, cursor: { show: false }, padding: [8, 30, 0, 0],
      scales: { y: { range: (_, __, most) => [0, Math.max(1, most * 1.15)] } },
      axes: [{ ...axis, space: 90, size: 28, values: '{HH}:{mm}:{ss}' }, { ...axis, size: 52, values: (_, splits) => splits.map(number) }],
      series: [{}, ...names.map((_, i) => ({ stroke: colour(COLOURS[i]), width: 2, points: { show: false }, fill: i === 0 ? colour(COLOURS[i], 14) : undefined }))],
    }, data, canvas);
  };
  const resize = new ResizeObserver(() => {
    if (!plot) make();
    else if (canvas.clientWidth > 0) plot.setSize({ width: canvas.clientWidth, height: HEIGHT });
  });
  resize.observe(canvas);
  const dark = matchMedia('(prefers-color-scheme: dark)');
  dark.addEventListener('change', make);
  return {
    element,
    /** @param {{time: number, values: number[]}[]} samples all that there are, the newest last */
    show(samples) {
      const kept = samples.slice(-KEPT);
      data[0] = kept.map(({ time }) => time / 1000);
      names.forEach((_, i) => {
        data[i + 1] = kept.map((sample) => (Number.isFinite(sample.values[i]) ? sample.values[i] : null));
        values[i].textContent = number(kept.at(-1)?.values[i]);
      });
      plot?.setData(data);
    },
    end() {
      resize.disconnect();
      dark.removeEventListener('change', make);
      plot?.destroy();
    },
  };
}
