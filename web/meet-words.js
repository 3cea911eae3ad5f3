// The meeting page's words: English, and Chinese, which is fetched where it is wanted.

import { en } from './meet-en.js';
import { given, keep, recall } from './basics.js';

/** The languages that there are, each with its own name. */
const LANGUAGES = { en: 'English', 'zh-CN': '中文' };

let words = en;
let language = 'en';

/** What is to be done in another language, too. */
const listeners = new Set();

/** A sentence by its key; {name} stands for the value of that name. */
export function t(key, values = {}) {
  const text = words[key] ?? en[key];
  if (text === undefined) throw new Error(`there are no words for ${key}`);
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** An error in words for people. */
export function why(error) {
  if (error?.code === 'unauthorized') return t(given.token ? 'error-invitation' : 'error-no-invitation');
  return t(en[`error-${error?.code}`] ? `error-${error.code}` : 'error');
}

/** Puts the words into every element that names some: data-t its text, data-t-label what it is called. */
export function translate(root = document) {
  for (const element of root.querySelectorAll('[data-t]')) element.textContent = t(element.dataset.t);
  for (const element of root.querySelectorAll('[data-t-label]')) name(element, element.dataset.tLabel);
  for (const element of root.querySelectorAll('[data-t-placeholder]')) element.placeholder = t(element.dataset.tPlaceholder);
}

/** Names an element that shows no words, and has it say so where a mouse rests on it. */
function name(element, key) {
  element.dataset.tLabel = key;
  element.setAttribute('aria-label', t(key));
  if (element.matches('button')) element.title = t(key);
}

/** Gives an element another name. */
export function label(element, key, values) {
  const text = t(key, values);
  element.setAttribute('aria-label', text);
  if (element.matches('button')) element.title = text;
}

/** Has something done now, and again in each other language, until the returned function is called. */
export function inEveryLanguage(what) {
  listeners.add(what);
  what();
  return () => listeners.delete(what);
}

/** The language of the page. */
export const locale = () => language;

async function speak(wanted) {
  words = wanted === 'zh-CN' ? (await import('./meet-zh.js')).zh : en;
  language = wanted;
  document.documentElement.lang = wanted;
  const other = wanted === 'en' ? 'zh-CN' : 'en';
  for (const button of document.querySelectorAll('.switch-language')) {
    button.lang = other;
    button.querySelector('.other-language').textContent = LANGUAGES[other];
  }
  translate();
  for (const listener of listeners) listener();
}

/** Speaks the other language from now on. */
export async function switchLanguage() {
  const other = language === 'en' ? 'zh-CN' : 'en';
  keep('language', other);
  await speak(other);
}

/** Speaks the language that was chosen here before, or else that of the browser. */
export async function startLanguage() {
  const chosen = recall('language');
  const wanted = chosen in LANGUAGES ? chosen : /^zh/i.test(navigator.language) ? 'zh-CN' : 'en';
  await speak(wanted);
}
