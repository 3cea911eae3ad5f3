// Elements are made here alone, and what they say is text: never markup.

/**
 * Makes an element. A property that begins with "on" is a listener, "class", "for", "role" and those with a hyphen are attributes.
 *
 * @param {string} tag
 * @param {Record<string, unknown> | null} [properties]
 * @param {...(Node | string | number | null | undefined)} children
 */
export function el(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'class' || name === 'for' || name === 'role' || name.includes('-')) element.setAttribute(name === 'for' ? 'for' : name, String(value));
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined).map((child) => (child instanceof Node ? child : String(child))));
  return element;
}

/** A table that is filled anew with rows of cells; a cell is a text or an element. */
export function table(caption, columns, empty) {
  const body = el('tbody');
  const heads = columns.map((column) => el('th', { scope: 'col', class: column.number ? 'number' : undefined }, column.title));
  const element = el('div', { class: 'scroll', tabIndex: 0, role: 'region', 'aria-label': caption },
    el('table', null, el('caption', { class: 'hidden' }, caption), el('thead', null, el('tr', null, ...heads)), body));
  return {
    element,
    fill(rows) {
      body.replaceChildren(...(rows.length > 0 ? rows : [[el('span', { class: 'muted' }, empty)]]).map((cells) => el('tr', null, ...cells.map((cell, i) => {
        const td = el('td', { class: columns[i].number && rows.length > 0 ? 'number' : undefined }, cell);
        if (rows.length === 0) td.colSpan = columns.length;
        return td;
      }))));
    },
  };
}

export const badge = (text, kind) => el('span', { class: `badge ${kind}` }, text);

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const some = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });

/** A number for people; a dash if it is not known. */
export const number = (value) => (Number.isFinite(value) ? (Math.abs(value) < 10 ? some : whole).format(value) : '–');

export function bytes(value) {
  if (!Number.isFinite(value)) return '–';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let n = 0;
  for (; value >= 1024 && n < units.length - 1; n += 1) value /= 1024;
  return `${number(value)} ${units[n]}`;
}

export function age(since) {
  const seconds = Math.max(0, (Date.now() - new Date(since)) / 1000);
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129_600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

export const clock = (time) => new Date(time).toLocaleTimeString('en-GB');

let hideToast;

/** Says something for a moment. */
export function say(text) {
  const toast = document.querySelector('#toast');
  toast.textContent = text;
  toast.hidden = false;
  clearTimeout(hideToast);
  hideToast = setTimeout(() => (toast.hidden = true), 6000);
}

/** Asks whether something that cannot be undone is meant. */
export function ask(title, text, yes) {
  const dialog = document.querySelector('#ask');
  dialog.querySelector('#ask-title').textContent = title;
  dialog.querySelector('#ask-text').textContent = text;
  const button = dialog.querySelector('#ask-yes');
  button.textContent = yes;
  return new Promise((resolve) => {
    let answer = false;
    button.onclick = () => {
      answer = true;
      dialog.close();
    };
    dialog.querySelector('#ask-no').onclick = () => dialog.close();
    dialog.onclose = () => resolve(answer);
    dialog.showModal();
  });
}
