// A list of any number of rows of one height, of which only those that are seen are in the page.
import { el } from './dom.js';

/** How many rows are kept above and below those that are seen. */
const BESIDE = 8;

/**
 * @param {string} label
 * @param {number} height of a row, in pixels, as the style sheet has it
 * @param {(item: any) => Node} render
 * @param {() => void} nearEnd called when somebody comes near the end
 */
export function virtualList(label, height, render, nearEnd) {
  const inner = el('div', { class: 'rows', role: 'list', 'aria-label': label });
  const element = el('div', { class: 'virtual', tabIndex: 0, role: 'region', 'aria-label': `${label}, scrollable` }, inner);
  let items = [];
  let drawn = new Map(); // index to [item, row]
  let scheduled = false;

  const draw = () => {
    scheduled = false;
    const first = Math.max(0, Math.floor(element.scrollTop / height) - BESIDE);
    const end = Math.min(items.length, Math.ceil((element.scrollTop + element.clientHeight) / height) + BESIDE);
    const next = new Map();
    const focused = drawn.size > 0 && document.activeElement?.closest('[role=listitem]');
    for (let i = first; i < end; i += 1) {
      const old = drawn.get(i);
      if (old && old[0] === items[i]) {
        next.set(i, old);
        continue;
      }
      const row = el('div', { role: 'listitem', class: 'row', 'aria-posinset': i + 1, 'aria-setsize': items.length }, render(items[i]));
      row.style.transform = `translateY(${i * height}px)`;
      const hadFocus = old && focused === old[1];
      if (old) old[1].replaceWith(row);
      else inner.append(row);
      if (hadFocus) row.querySelector('a')?.focus({ preventScroll: true });
      next.set(i, [items[i], row]);
    }
    for (const [i, [, row]] of drawn) if (!next.has(i)) row.remove();
    drawn = next;
    if (end >= items.length - 50) nearEnd();
  };
  const schedule = () => {
    if (scheduled) return;
    scheduled = true;
    requestAnimationFrame(draw);
  };
  element.addEventListener('scroll', schedule, { passive: true });
  new ResizeObserver(schedule).observe(element);
  element.addEventListener('keydown', (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = [...drawn].find(([, [, row]]) => row.contains(document.activeElement))?.[0];
    const to = Math.min(items.length - 1, Math.max(0, at === undefined ? Math.ceil(element.scrollTop / height) : at + step));
    if (to * height < element.scrollTop) element.scrollTop = to * height;
    if ((to + 1) * height > element.scrollTop + element.clientHeight) element.scrollTop = (to + 1) * height - element.clientHeight;
    draw();
    drawn.get(to)?.[1].querySelector('a')?.focus({ preventScroll: true });
  });
  return {
    element,
    set(next) {
      items = next;
      inner.style.height = `${items.length * height}px`;
      schedule();
    },
    top: () => (element.scrollTop = 0),
  };
}
