// What Markdown becomes, what hostile text does not become, and how long it may take.
import assert from 'node:assert/strict';
import test from 'node:test';

import { GrowingMarkdown, parseMarkdown } from '../../web/markdown.js';
import { safeHref } from '../../web/markdown_inline.js';

// A short notation for trees: em(...), strong(...), `code`, link[href](...); blocks by name.
const inline = (nodes) => nodes.map((node) => {
  if (typeof node === 'string') return node;
  if (node.type === 'code') return `\`${node.text}\``;
  if (node.type === 'math') return `math(${node.text})`;
  if (node.type === 'break') return 'break()';
  return `${node.type}${node.href ? `[${node.href}]` : ''}(${inline(node.children)})`;
}).join('');

const block = (node) => {
  switch (node.type) {
    case 'heading': return `h${node.level}(${inline(node.inline)})`;
    case 'paragraph': return `p(${inline(node.inline)})`;
    case 'code': return `code[${node.language}](${node.text})`;
    case 'math': return `math(${node.text})`;
    case 'rule': return 'rule()';
    case 'quote': return `quote(${blocks(node.blocks)})`;
    case 'list': {
      const items = node.items.map((item) => `${item.checked === null ? '' : item.checked ? '[x]' : '[ ]'}(${blocks(item.blocks)})`);
      return `${node.start === null ? 'ul' : `ol${node.start}`}${node.tight ? '' : '-loose'}${items.join('')}`;
    }
    case 'table': return `table[${node.aligns}](${[node.head, ...node.rows].map((row) => row.map(inline).join('|')).join('/')})`;
    default: throw new Error(node.type);
  }
};
const blocks = (nodes) => nodes.map(block).join(' ');
const shown = (text) => blocks(parseMarkdown(text));

const CASES = {
  emphasis: [
    ['*a* **b** ***c*** _d_ __e__', 'p(em(a) strong(b) em(strong(c)) em(d) strong(e))'],
    ['***a** b* and ***a* b**', 'p(em(strong(a) b) and strong(em(a) b))'],
    ['**注意：**内容，**“文字”**文字', 'p(strong(注意：)内容，strong(“文字”)文字)'],
    ['snake_case_name and 2 * 3 * 4', 'p(snake_case_name and 2 * 3 * 4)'],
    ['**open and *half', 'p(**open and *half)'],
    ['*a **b* c**', 'p(em(a **b) c**)'],
    ['~~gone~~ ~not~', 'p(del(gone) ~not~)'],
    ['\\*plain\\* \\a', 'p(*plain* \\a)'],
    ['a **** b', 'p(a **** b)'],
  ],
  code: [
    ['`a*b*` ``c`d`` `open', 'p(`a*b*` `c`d` `open)'],
    ['`` ` ``', 'p(```)'],
    ['```js title\nlet a;\n\n  b\n```\nafter', 'code[js](let a;\n\n  b) p(after)'],
    ['~~~\n```\n~~~', 'code[](```)'],
    ['```\nnever closed', 'code[](never closed)'],
    ['  ```\n  a\n    b\n  ```', 'code[](a\n  b)'],
    ['```not `a` fence```', 'p(`not `a` fence`)'],
  ],
  links: [
    ['[a *b*](https://x.example/y_z)', 'p(link[https://x.example/y_z](a em(b)))'],
    ['see https://x.example/a_(b), and (http://y.example/).', 'p(see link[https://x.example/a_(b)](https://x.example/a_(b)), and (link[http://y.example/](http://y.example/)).)'],
    ['见https://x.example/路径', 'p(见link[https://x.example/](https://x.example/)路径)'],
    ['**https://x.example**', 'p(strong(link[https://x.example/](https://x.example)))'],
    ['<https://x.example> <mailto:a@b.example>', 'p(link[https://x.example/](https://x.example) link[mailto:a@b.example](mailto:a@b.example))'],
    ['![a picture](https://x.example/a.png)', 'p(link[https://x.example/a.png](a picture))'],
    ['[a](https://x.example "title") [b] [c](', 'p(link[https://x.example/](a) [b] [c]()'],
    ['[out [in](https://in.example)](https://out.example)', 'p([out link[https://in.example/](in)](link[https://out.example/](https://out.example)))'],
    ['[https://a.example](https://b.example)', 'p(link[https://b.example/](https://a.example))'],
  ],
  blocks: [
    ['# One\n### Three ###\n#no', 'h1(One) h3(Three) p(#no)'],
    ['a\nb\n\nc', 'p(a\nb) p(c)'],
    ['a\n---\n* * *', 'p(a) rule() rule()'],
    ['> a\n> > b\n\nc', 'quote(p(a) quote(p(b))) p(c)'],
    ['line<br>line', 'p(linebreak()line)'],
    ['$$\na_1*b*c\n$$\n\\(x_1*y*z\\) and $$a*b*c$$ for $5', 'math($$\na_1*b*c\n$$) p(math(\\(x_1*y*z\\)) and math($$a*b*c$$) for $5)'],
  ],
  lists: [
    ['- a\n- b', 'ul(p(a))(p(b))'],
    ['3. a\n4. b\n   - c\n     d\n5. e', 'ol3(p(a))(p(b) ul(p(c\nd)))(p(e))'],
    ['1. a\n  - b\n  - c\n2. d', 'ol1(p(a) ul(p(b))(p(c)))(p(d))'],
    ['- a\n\n- b', 'ul-loose(p(a))(p(b))'],
    ['- a\nlazy\n\nafter', 'ul(p(a\nlazy)) p(after)'],
    ['- [ ] a\n- [x] b', 'ul[ ](p(a))[x](p(b))'],
    ['text\n- a\n* b', 'p(text) ul(p(a)) ul(p(b))'],
    ['1. a\n   ```py\n   x\n   ```\n2. b', 'ol1(p(a) code[py](x))(p(b))'],
    ['1.5 is no list\n2024. is', 'p(1.5 is no list) ol2024(p(is))'],
    ['-\n  a', 'ul(p(a))'],
  ],
  tables: [
    ['| a | b |\n|---|:-:|\n| 1 | `x\\|y` |\n| only |', 'table[left,center](a|b/1|`x|y`/only)'],
    ['a | b\n--- | --:\n1 | 2 | 3\n\nc', 'table[left,right](a|b/1|2) p(c)'],
    ['a | b\nc | d', 'p(a | b\nc | d)'],
    ['a | b\n---', 'p(a | b) rule()'],
  ],
  hostile: [
    ['<script>alert(1)</script>', 'p(<script>alert(1)</script>)'],
    ['<img src=x onerror=alert(1)>', 'p(<img src=x onerror=alert(1)>)'],
    ['[a](javascript:alert(1)) [b](JaVaScRiPt:alert(1)) [c](data:text/html,x) [d](vbscript:x)', 'p([a](javascript:alert(1)) [b](JaVaScRiPt:alert(1)) [c](data:text/html,x) [d](vbscript:x))'],
    ['[a]( java\u0000script:alert(1))', 'p([a]( java\u0000script:alert(1)))'],
    ['[own path](/v1/models) [own](#x)', 'p([own path](/v1/models) [own](#x))'],
    ['![x](javascript:alert(1))', 'p(![x](javascript:alert(1)))'],
    ['<javascript:alert(1)>', 'p(<javascript:alert(1)>)'],
  ],
};

for (const [name, cases] of Object.entries(CASES))
  test(name, () => {
    for (const [text, tree] of cases) assert.equal(shown(text), tree, text);
  });

test('only addresses of the web and of mail are followed', () => {
  for (const bad of ['javascript:alert(1)', ' javascript:alert(1)', 'java\nscript:alert(1)', '\u0001javascript:alert(1)',
    'data:text/html,x', 'file:///etc/passwd', 'blob:https://x.example/1', '//x.example', '/v1/models', '', 'x'])
    assert.equal(safeHref(bad), null, bad);
  for (const good of ['https://x.example/', 'http://x.example/', 'mailto:a@b.example']) assert.equal(safeHref(good), good);
});

// ---- A text that grows

const PIECES = ['a', ' ', '\n', '\n\n', '- ', '1. ', '> ', '# ', '```', '`', '| a | b |\n', '|---|---|\n', '---', '*', '**', '  ',
  '[x](https://x.example)', '$$', 'text\n', '你好', '- [ ] ', '    ', '\\', '|', '\r\n', '\t', '~~~\n'];

/** Numbers from 0 to below `count`, the same every time. */
function numbersBelow(count, seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * count);
  };
}

test('a text that grows by pieces comes to what the whole text is', () => {
  const withoutLines = (nodes) => nodes.map(({ line, ...node }) => node); // lines count from where parsing began
  let numSettled = 0;
  for (let seed = 1; seed <= 1000; ++seed) {
    const draw = numbersBelow(PIECES.length, seed);
    const growing = new GrowingMarkdown();
    const settled = [];
    let text = '';
    for (let i = 0; i < 30; ++i) {
      text += PIECES[draw()];
      const { settled: more, open } = growing.update(text);
      settled.push(...more);
      assert.deepEqual(withoutLines([...settled, ...open]), withoutLines(parseMarkdown(text)), JSON.stringify(text));
    }
    numSettled += settled.length;
  }
  assert.ok(numSettled > 1000, `only ${numSettled} blocks were settled`);
});

// ---- Hostile sizes

const MEGABYTE = 1 << 20;
const repeated = (piece) => piece.repeat(Math.ceil(MEGABYTE / piece.length));
const numbered = (make) => {
  let text = '';
  for (let i = 0; text.length < MEGABYTE; ++i) text += make(i);
  return text;
};

const HUGE = [
  ...['a', '\n', ' ', '*', '_', '*a ', '**a ', '*a* ', '`', '``a`', '[', ']', '](', '[](', '[a](', '![', '<', '<br', '~~', '~~a ', '\\', '$$', '$', '\\(',
    '\\[\n', '$$\n', '> ', '>', '- ', '- \n', '-', '1. ', '1. a\n', '# ', '#', '# a #', '|', '|\n', '| a ', 'a|b\n-|-\n', '```\n', '```', '~~~~`', '~', '\t', '\r',
    'http://', 'https://a.b/( ', '(', ')', 'http://a)', '[a](http://b) ', '你', '*你', '_a_', ' #', '&amp;', '<http://a ', '[ ] ', '- [ ] a\n', '  - a\n', '\n- a', '***a', '***a**'].map(repeated),
  numbered((i) => `${'`'.repeat(i % 2000 + 1)} `),
  numbered((i) => `${' '.repeat(i % 500)}- a\n`),
  numbered((i) => `${'>'.repeat(i % 500)} a\n`),
  `${'#'.repeat(6)}${' '.repeat(MEGABYTE)}x`,
  `- ${' '.repeat(MEGABYTE)}x`,
  `${' '.repeat(MEGABYTE)}- x`,
  `~~~${' '.repeat(MEGABYTE)}\``,
  `${repeated('| a ')}\n${repeated('|---')}\n`,
  `${'|a'.repeat(64)}|\n${'|-'.repeat(64)}|\n${repeated('|b')}`,
  `${'|a'.repeat(64)}|\n${'|-'.repeat(64)}|\n${repeated('|\n')}`,
];

function sizeOf(nodes) {
  let size = 0;
  for (const node of nodes) {
    if (typeof node !== 'object') continue;
    ++size;
    for (const part of Object.values(node)) if (Array.isArray(part)) size += sizeOf(part);
  }
  return size;
}

test('a megabyte takes bounded time and gives a bounded tree, whatever it is', { timeout: 120_000 }, () => {
  for (const text of HUGE) {
    const start = performance.now();
    const tree = parseMarkdown(text);
    const seconds = (performance.now() - start) / 1000;
    assert.ok(seconds < 15, `${seconds} s for ${JSON.stringify(text.slice(0, 20))}`);
    assert.ok(sizeOf(tree) < 100_000, `${sizeOf(tree)} nodes for ${JSON.stringify(text.slice(0, 20))}`);
  }
});

test('nesting is bounded', () => {
  const depth = (node) => typeof node !== 'object' ? 0 : 1 + Math.max(0, ...Object.values(node).filter(Array.isArray).flat().map(depth));
  for (const piece of ['> ', '- ', '*a', '**a', '[', '1. ', '~~a', '- > '])
    for (const text of [piece.repeat(5000), `${piece.repeat(5000)}x${'*'.repeat(5000)}`])
      assert.ok(Math.max(...parseMarkdown(text).map(depth)) < 100, piece);
});
