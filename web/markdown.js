// Markdown as models write it, into a tree: the common part of CommonMark, GitHub's tables and
// strikethrough. It is plain data (markdown_view.js makes elements of it), and HTML in it is text.
//
// Text is hostile. Time is linear in it: loops scan once, searches that may fail remember that they did or
// have a bound, and no pattern backtracks. Nesting is bounded, and so is the number of nodes: what comes
// after them is plain text.
//
// Blocks: {type: 'heading', level, inline}, {type: 'paragraph', inline}, {type: 'code', language, text},
// {type: 'quote', blocks}, {type: 'list', start (null: bullets), tight, items: [{checked, blocks}]},
// {type: 'table', aligns, head: [inline], rows: [[inline]]}, {type: 'math', text}, {type: 'rule'}; each has
// `line`, where it starts. `inline` is a list as markdown_inline.js has it.
import { parseInline } from './markdown_inline.js';

const MOST_NODES = 20_000;
const MOST_BLOCKS_DEEP = 10;
const MOST_COLUMNS = 64;

export function newBudget() {
  return { nodes: MOST_NODES };
}

export function parseMarkdown(text, budget = newBudget()) {
  return parseBlocks(linesOf(text), 0, budget);
}

function linesOf(text) {
  return text.split(/\r\n|\r|\n/).map((line) =>
    line.includes('\t') ? line.replace(/^[ \t]+/, (space) => space.replaceAll('\t', '    ')) : line);
}

// Each takes (lines, at, depth, budget) and gives {block, next}, or null where no such block starts there.
const BLOCK_KINDS = [codeBlock, heading, rule, mathBlock, quote, list, table];

function parseBlocks(lines, depth, budget) {
  if (depth > MOST_BLOCKS_DEEP) return [{ type: 'paragraph', inline: [lines.join('\n')], line: 0 }];
  const blocks = [];
  for (let at = 0; at < lines.length;) {
    if (isBlank(lines[at])) {
      ++at;
      continue;
    }
    if (--budget.nodes < 0) {
      blocks.push({ type: 'paragraph', inline: [lines.slice(at).join('\n')], line: at });
      break;
    }
    const { block, next } = blockAt(lines, at, depth, budget) ?? paragraph(lines, at, budget);
    blocks.push({ ...block, line: at });
    at = next;
  }
  return blocks;
}

function blockAt(lines, at, depth, budget) {
  for (const kind of BLOCK_KINDS) {
    const found = kind(lines, at, depth, budget);
    if (found) return found;
  }
  return null;
}

function isBlank(line) {
  return line.trim() === '';
}

function indentOf(line) {
  let indent = 0;
  while (line[indent] === ' ') ++indent;
  return indent;
}

/** How often the character at `from` is repeated there. */
function runLength(line, from) {
  let end = from;
  while (end < line.length && line[end] === line[from]) ++end;
  return end - from;
}

// ---- Code

function openingFence(line) {
  const indent = indentOf(line);
  const mark = line[indent];
  if (indent > 3 || (mark !== '`' && mark !== '~')) return null;
  const length = runLength(line, indent);
  const info = line.slice(indent + length).trim();
  return length < 3 || (mark === '`' && info.includes('`')) ? null : { indent, mark, length, info };
}

function closesFence(line, { mark, length }) {
  const text = line.trim();
  return text.length >= length && text[0] === mark && runLength(text, 0) === text.length && indentOf(line) <= 3;
}

function codeBlock(lines, at) {
  const fence = openingFence(lines[at]);
  if (!fence) return null;
  let end = at + 1;
  while (end < lines.length && !closesFence(lines[end], fence)) ++end;
  const text = lines.slice(at + 1, end).map((line) => line.slice(Math.min(indentOf(line), fence.indent))).join('\n');
  const language = fence.info.split(' ', 1)[0].slice(0, 40);
  return { block: { type: 'code', language, text }, next: end + 1 };
}

// ---- Headings, rules, mathematics

function heading(lines, at, depth, budget) {
  const line = lines[at].trim();
  const level = line[0] === '#' ? runLength(line, 0) : 0;
  if (level < 1 || level > 6 || (line.length > level && line[level] !== ' ')) return null;
  let end = line.length;
  while (end > level && line[end - 1] === '#') --end;
  const text = end === level || line[end - 1] === ' ' ? line.slice(level, end) : line.slice(level);
  return { block: { type: 'heading', level, inline: parseInline(text.trim(), budget) }, next: at + 1 };
}

function isRule(line) {
  const mark = line.trimStart()[0];
  if (mark !== '-' && mark !== '*' && mark !== '_') return false;
  let marks = 0;
  for (const char of line) {
    if (char === mark) ++marks;
    else if (char !== ' ') return false;
  }
  return marks >= 3;
}

function rule(lines, at) {
  return isRule(lines[at]) ? { block: { type: 'rule' }, next: at + 1 } : null;
}

// It is shown as it is written: all that is owed to it is that nothing in it is taken for Markdown. It ends
// at the latest where a paragraph would.
function mathBlock(lines, at) {
  const first = lines[at].trim();
  const close = first.startsWith('$$') ? '$$' : first.startsWith('\\[') ? '\\]' : null;
  if (!close) return null;
  const inLine = first.indexOf(close, 2);
  if (inLine >= 0 && inLine + 2 < first.length) return null; // a line that goes on
  let end = at;
  for (let isOpen = inLine < 0; isOpen && end + 1 < lines.length && !isBlank(lines[end + 1]); ++end)
    isOpen = !lines[end + 1].trimEnd().endsWith(close);
  return { block: { type: 'math', text: lines.slice(at, end + 1).join('\n') }, next: end + 1 };
}

// ---- Quotes and lists

function isQuoted(line) {
  return line[indentOf(line)] === '>';
}

function quote(lines, at, depth, budget) {
  let end = at;
  while (end < lines.length && isQuoted(lines[end])) ++end;
  if (end === at) return null;
  const inner = lines.slice(at, end).map((line) => {
    const rest = line.slice(indentOf(line) + 1);
    return rest[0] === ' ' ? rest.slice(1) : rest;
  });
  return { block: { type: 'quote', blocks: parseBlocks(inner, depth + 1, budget) }, next: end };
}

const MARKER = /^( *)([-*+]|[0-9]{1,9}[.)])( +|$)/;

/** {indent, content: where its text begins, kind: '-', '.' and the like, number}. */
function listMarker(line) {
  const found = MARKER.exec(line);
  if (!found || isRule(line)) return null;
  const [whole, space, mark, gap] = found;
  const content = gap.length > 4 ? space.length + mark.length + 1 : whole.length;
  return { indent: space.length, content, kind: mark.at(-1), number: Number.parseInt(mark, 10) };
}

function isSibling(marker, first) {
  return marker.kind === first.kind && marker.indent < first.indent + 2;
}

function list(lines, at, depth, budget) {
  const first = listMarker(lines[at]);
  if (!first) return null;
  const items = [];
  let tight = true;
  let next = at;
  for (let marker = first; marker && isSibling(marker, first) && budget.nodes > 0;) {
    --budget.nodes;
    const item = listItem(lines, next, marker);
    items.push({ ...taskOf(item.lines), blocks: parseBlocks(item.lines, depth + 1, budget) });
    next = item.next;
    while (next < lines.length && isBlank(lines[next])) ++next;
    marker = next < lines.length ? listMarker(lines[next]) : null;
    if (item.lines.slice(1).some(isBlank) || (marker && isSibling(marker, first) && next > item.next)) tight = false;
  }
  const start = Number.isNaN(first.number) ? null : first.number;
  return { block: { type: 'list', start, tight, items }, next };
}

// An item has what is indented below it, more leniently than CommonMark: models count spaces badly.
function listItem(lines, at, marker) {
  const own = [lines[at].slice(marker.content)];
  let end = at + 1; // after the last line that is not blank
  for (let next = at + 1; next < lines.length; ++next) {
    const line = lines[next];
    if (isBlank(line)) continue;
    const indent = indentOf(line);
    const isBelow = indent >= marker.indent + 2;
    const isLazy = next === end && !listMarker(line) && !interrupts(lines, next);
    if (!isBelow && !isLazy) break;
    while (end < next) own.push(''), ++end;
    own.push(line.slice(Math.min(indent, marker.content)));
    ++end;
  }
  return { lines: own, next: end };
}

/** Takes "[ ] " or "[x] " off an item; `checked` is null where there is none. */
function taskOf(lines) {
  const found = /^\[([ xX])\] /.exec(lines[0]);
  if (!found) return { checked: null };
  lines[0] = lines[0].slice(found[0].length);
  return { checked: found[1] !== ' ' };
}

// ---- Tables

function cellsOf(line) {
  const cells = [];
  let cell = '';
  for (let at = 0; at < line.length; ++at) {
    if (line[at] === '\\' && line[at + 1] === '|') {
      cell += '|';
      ++at;
    } else if (line[at] === '|') {
      cells.push(cell.trim());
      cell = '';
    } else {
      cell += line[at];
    }
  }
  cells.push(cell.trim());
  if (cells[0] === '') cells.shift();
  if (cells.at(-1) === '') cells.pop();
  return cells;
}

/** The alignment of each column, or null: this is no line below a table's head. */
function columnAligns(line) {
  if (line === undefined || !line.includes('-') || !/^[-:| ]+$/.test(line)) return null;
  const cells = cellsOf(line);
  if (cells.length === 0 || cells.length > MOST_COLUMNS) return null;
  const aligns = [];
  for (const cell of cells) {
    const dashes = cell.slice(cell.startsWith(':') ? 1 : 0, cell.endsWith(':') ? -1 : undefined);
    if (dashes === '' || runLength(dashes, 0) !== dashes.length || dashes[0] !== '-') return null;
    aligns.push(!cell.endsWith(':') ? 'left' : cell.startsWith(':') ? 'center' : 'right');
  }
  return aligns;
}

function startsTable(lines, at) {
  if (!lines[at].includes('|')) return null;
  const aligns = columnAligns(lines[at + 1]);
  return aligns && cellsOf(lines[at]).length === aligns.length ? aligns : null;
}

function table(lines, at, depth, budget) {
  const aligns = startsTable(lines, at);
  if (!aligns) return null;
  const row = (line) => {
    const cells = cellsOf(line).slice(0, aligns.length);
    budget.nodes -= 1 + cells.length;
    return cells.map((cell) => parseInline(cell, budget));
  };
  const head = row(lines[at]);
  const rows = [];
  let next = at + 2;
  for (; next < lines.length && lines[next].includes('|') && budget.nodes > 0; ++next) rows.push(row(lines[next]));
  return { block: { type: 'table', aligns, head, rows }, next };
}

// ---- Paragraphs

/** Whether a block starts in this line although the paragraph before it has not ended. */
function interrupts(lines, at) {
  const line = lines[at];
  const marker = listMarker(line);
  return openingFence(line) !== null || /^ *#{1,6} /.test(line) || isRule(line) || isQuoted(line) ||
    (marker !== null && marker.content < line.length) || startsTable(lines, at) !== null;
}

// Line ends are kept: models mean them.
function paragraph(lines, at, budget) {
  let end = at + 1;
  while (end < lines.length && !isBlank(lines[end]) && !interrupts(lines, end)) ++end;
  const text = lines.slice(at, end).map((line) => line.trim()).join('\n');
  return { block: { type: 'paragraph', inline: parseInline(text, budget) }, next: end };
}

// ---- Text that grows

/**
 * Parses a text that grows at its end, again and again, without reading again what can no longer change:
 * a block is settled once another starts in a line that is complete.
 */
export class GrowingMarkdown {
  #settled = 0; // characters
  #budget = newBudget(); // left after them

  /** {settled: blocks that are new and will not change, open: blocks after them}. */
  update(text) {
    const settled = this.#settle(text);
    return { settled, open: parseMarkdown(text.slice(this.#settled), { ...this.#budget }) };
  }

  #settle(text) {
    const end = Math.max(text.lastIndexOf('\n') + 1, this.#settled);
    const complete = text.slice(this.#settled, end);
    if (complete === '') return [];
    const last = parseMarkdown(complete, { ...this.#budget }).at(-1);
    if (!last) return [];
    const before = complete.slice(0, startOfLine(complete, last.line));
    this.#settled += before.length;
    return parseMarkdown(before, this.#budget);
  }
}

function startOfLine(text, line) {
  let at = 0;
  for (const ends = /\r\n|\r|\n/g; line > 0 && ends.exec(text); --line) at = ends.lastIndex;
  return at;
}
