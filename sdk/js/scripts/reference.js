// Writes docs/sdk.md from the declarations in types/: what can be imported, in the words of its comments.

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const HEAD = `# Reference of the JavaScript client

All that [\`@signalbox/client\`](../sdk/js/README.md) exports, where there are examples as well. This file is made of the client's
declarations by \`npm run reference\` in \`sdk/js\`.
`;

/** What is no export, and yet what its subclasses have. */
const SHARED = { name: 'TypedTarget', file: 'events' };

/** Classes that are no export, and stand for a part of one. */
const PARTS = [{ name: 'ModeratedRoom', file: 'moderation' }];

/**
 * @typedef {object} Declaration
 * @property {string} doc
 * @property {string} text
 */

/**
 * @param {string} types the directory of the declarations
 * @returns {Promise<string>}
 */
export async function reference(types) {
  const index = await read(types, 'index');
  const values = [...index.matchAll(/^export \{ (.*?) \} from '\.\/(.*?)\.js';$/gm)]
    .flatMap(([, names, file]) => names.split(', ').map((name) => ({ name, file })));
  const aliases = [...index.matchAll(/^export type (\w+) = import\('\.\/(.*?)\.js'\)\.\w+;$/gm)].map(([, name, file]) => ({ name, file }));
  const sections = [HEAD];
  for (const { name, file } of [...values, SHARED]) {
    const declaration = find(await read(types, file), new RegExp(`^export declare (class|function) ${name}\\b`));
    sections.push(declaration.text.includes('class ') ? renderClass(name, declaration, await inherited(types, declaration)) : renderMember('##', declaration));
  }
  sections.push('## Types\n');
  for (const { name, file } of aliases.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    sections.push(renderType(name, find(await read(types, file), new RegExp(`^export type ${name} = `))));
  }
  return sections.join('\n').replace(/\n{3,}/g, '\n\n');
}

/**
 * @param {string} types
 * @param {string} file
 */
function read(types, file) {
  return readFile(join(types, `${file}.d.ts`), 'utf8');
}

/**
 * The declarations at one depth, each with the comment before it.
 *
 * @param {string} source
 * @param {string} indent
 * @returns {Declaration[]}
 */
function declarations(source, indent) {
  /** @type {Declaration[]} */
  const found = [];
  let doc = '';
  let text = '';
  let comment = false;
  for (const line of source.split('\n')) {
    if (text === '' && line.startsWith(`${indent}/**`)) {
      comment = true;
      doc = '';
    }
    if (comment) {
      doc += `${line.replace(/^\s*(\/\*\*|\*\/|\*)? ?/, '').replace(/\s*\*\/$/, '')}\n`;
      if (line.includes('*/')) comment = false;
      continue;
    }
    text += `${line.slice(indent.length)}\n`;
    const isOver = line.startsWith(indent) && line[indent.length] !== ' ' && /(;|^\s*\})$/.test(line);
    if (!isOver) continue;
    found.push({ doc: doc.trim(), text: text.trim() });
    [doc, text] = ['', ''];
  }
  return found;
}

/**
 * @param {string} source
 * @param {RegExp} beginning
 */
function find(source, beginning) {
  const found = declarations(source, '').find(({ text }) => beginning.test(text));
  if (!found) throw new Error(`no declaration like ${beginning}`);
  return found;
}

/**
 * What a class has of one that cannot be imported.
 *
 * @param {string} types
 * @param {Declaration} declaration
 * @returns {Promise<Declaration | undefined>}
 */
async function inherited(types, { text }) {
  const part = PARTS.find(({ name }) => parentOf(text) === name);
  return part && find(await read(types, part.file), new RegExp(`^export declare class ${part.name}\\b`));
}

/** @param {string} text of a class */
function parentOf(text) {
  return / extends (\w+)/.exec(text.split('\n')[0])?.[1];
}

/** @param {string} text of a class */
function membersOf(text) {
  return declarations(text.split('\n').slice(1, -1).join('\n'), '    ')
    .filter(({ doc, text }) => !/^(#private|protected |private )/.test(text) && !doc.includes('@internal'));
}

/**
 * @param {string} name
 * @param {Declaration} declaration
 * @param {Declaration} [part] what it is made of
 */
function renderClass(name, { doc, text }, part) {
  const parent = parentOf(part ? part.text : text);
  const members = [...membersOf(text), ...membersOf(part?.text ?? '').filter(({ text }) => !text.startsWith('constructor'))];
  const title = name === SHARED.name ? 'Every event target' : name;
  const kind = parent && parent !== 'EventTarget' ? `Extends \`${parent}\`${parent === SHARED.name ? ' ([every event target](#every-event-target))' : ''}.\n\n` : '';
  return `## ${title}\n\n${kind}${prose(doc)}\n${members.map((member) => renderMember('###', member)).join('\n')}`;
}

/**
 * @param {string} level
 * @param {Declaration} declaration
 */
function renderMember(level, { doc, text }) {
  const signature = text.replace(/^export declare /, '');
  const name = /^(?:static |readonly |function |get |set |async )*(\[[\w.]+\]|\w+)/.exec(signature)?.[1] ?? '';
  return `${level} ${name.replace(/^\[(.*)\]$/, '$1')}\n\n\`\`\`ts\n${signature}\n\`\`\`\n\n${prose(doc)}`;
}

/**
 * @param {string} name
 * @param {Declaration} declaration
 */
function renderType(name, { text }) {
  const body = /= \{\n(.*)\n\};$/s.exec(text)?.[1];
  if (body === undefined) return `### ${name}\n\n\`\`\`ts\n${text.replace(/^export /, '')}\n\`\`\`\n`;
  const rows = declarations(body, '    ').map(({ doc, text }) => {
    const [, key, optional, type] = /^(?:readonly )?["']?([\w-]+)["']?(\?)?: (.*);$/s.exec(text) ?? [];
    return `| \`${key}\`${optional ? ' (optional)' : ''} | \`${cell(type)}\` | ${cell(inline(doc))} |`;
  });
  return `### ${name}\n\n| | type | |\n|---|---|---|\n${rows.join('\n')}\n`;
}

/** @param {string} text */
const cell = (text) => text.replace(/\s+/g, ' ').replaceAll('|', '\\|').trim();

/** @param {string} text */
const inline = (text) => text.replace(/\{@link (\w+)\}/g, '`$1`');

/**
 * A comment as Markdown: the text, and what it says of parameters and the result.
 *
 * @param {string} doc
 */
function prose(doc) {
  const [text, ...tags] = ` ${inline(doc)}`.split(/(?:^|\s)(?=@(?:param|returns|template|extends|override|implements|type)\b)/);
  const said = tags.flatMap((tag) => {
    const [, kind, rest] = /^@(\w+)\s*(.*)$/s.exec(tag) ?? [];
    const [, name = '', about = ''] = /^(?:\[?([\w.]+)[^\s\]]*\]?\s*)?(.*)$/s.exec(withoutType(rest)) ?? [];
    if (kind === 'param' && about) return [`- \`${name}\`: ${about.replace(/\s+/g, ' ').trim()}`];
    const result = withoutType(rest).replace(/\s+/g, ' ').trim();
    return kind === 'returns' && result ? [`- returns: ${result}`] : [];
  });
  return [text.trim(), said.join('\n')].filter(Boolean).map((part) => `${part}\n`).join('\n');
}

/**
 * A tag without the type in braces that it begins with.
 *
 * @param {string} tag
 */
function withoutType(tag) {
  if (!tag.startsWith('{')) return tag;
  let depth = 0;
  for (let n = 0; n < tag.length; n += 1) {
    if (tag[n] === '{') depth += 1;
    else if (tag[n] === '}' && --depth === 0) return tag.slice(n + 1).trimStart();
  }
  return '';
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const types = fileURLToPath(new URL('../types/', import.meta.url));
  await writeFile(new URL('../../../docs/sdk.md', import.meta.url), await reference(types));
}
