// Elements of a Markdown tree (markdown.js), for a text that grows.
import { copyButton, element } from './dom.js';
import { GrowingMarkdown } from './markdown.js';

export class MarkdownView {
  #speaker;
  #growing = new GrowingMarkdown();
  #open = []; // elements of blocks that may still change
  #text = '';

  constructor(speaker) {
    this.#speaker = speaker;
    this.root = element('div', { class: 'markdown' });
  }

  /** Shows `text`, which begins with what was shown before. */
  update(text) {
    if (text === this.#text) return;
    this.#text = text;
    const { settled, open } = this.#growing.update(text);
    for (const old of this.#open) old.remove();
    this.#open = open.map((block) => this.#block(block));
    for (const block of settled) this.root.append(this.#block(block));
    this.root.append(...this.#open);
  }

  #blocks(blocks) {
    return blocks.map((block) => this.#block(block));
  }

  #block(block) {
    switch (block.type) {
      case 'heading': return element(headingTag(block.level), {}, ...inline(block.inline));
      case 'paragraph': return element('p', {}, ...inline(block.inline));
      case 'code': return this.#code(block);
      case 'math': return element('pre', { class: 'math' }, block.text);
      case 'rule': return element('hr');
      case 'quote': return element('blockquote', {}, ...this.#blocks(block.blocks));
      case 'list': return this.#list(block);
      case 'table': return table(block);
      default: throw new TypeError(block.type);
    }
  }

  #code({ language, text }) {
    const label = element('span', {}, language || this.#speaker.word('code'));
    return element('figure', { class: 'code' },
      element('figcaption', {}, label, copyButton(this.#speaker, () => text)),
      element('pre', { tabindex: '0' }, element('code', {}, text)));
  }

  #list({ start, tight, items }) {
    const made = start === null ? element('ul') : element('ol', { start });
    for (const { checked, blocks } of items) {
      const children = blocks.map((block) =>
        tight && block.type === 'paragraph' ? element('div', {}, ...inline(block.inline)) : this.#block(block));
      const box = checked === null ? null : this.#box(checked);
      made.append(element('li', { class: checked === null ? null : 'task' }, box, ...children));
    }
    return made;
  }

  #box(checked) {
    const label = this.#speaker.word(checked ? 'taskDone' : 'taskOpen');
    return element('span', { role: 'img', 'aria-label': label }, checked ? '☑' : '☐');
  }
}

// Below the page's own headings.
function headingTag(level) {
  return `h${Math.min(level + 2, 6)}`;
}

function table({ aligns, head, rows }) {
  const row = (cells, tag) => element('tr', {}, ...cells.map((cell, column) =>
    element(tag, { class: aligns[column] }, ...inline(cell))));
  return element('div', { class: 'table', tabindex: '0' },
    element('table', {},
      element('thead', {}, row(head, 'th')), element('tbody', {}, ...rows.map((cells) => row(cells, 'td')))));
}

function inline(nodes) {
  return nodes.map((node) => {
    if (typeof node === 'string') return node;
    switch (node.type) {
      case 'strong': case 'em': case 'del': return element(node.type, {}, ...inline(node.children));
      case 'code': return element('code', {}, node.text);
      case 'math': return element('span', { class: 'math' }, node.text);
      case 'break': return element('br');
      case 'link': return link(node);
      default: throw new TypeError(node.type);
    }
  });
}

function link({ href, children }) {
  return element('a', { href, target: '_blank', rel: 'noopener noreferrer nofollow' }, ...inline(children));
}
