// What is inside a line or a paragraph of Markdown: a list of texts and
// {type: 'strong' | 'em' | 'del', children}, {type: 'code' | 'math', text}, {type: 'link', href, children},
// {type: 'break'}. The bounds of markdown.js hold here, too.

const MOST_DEEP = 50;
const MOST_URL = 2000;
const SPECIAL = /[\\`*_~[\]!<$]|https?:\/\//g;
const SAFE_PROTOCOLS = new Set(['http:', 'https:', 'mailto:']);

export function parseInline(text, budget) {
  return new InlineParser(text, budget).parse();
}

/** The address of a link that may be followed, or null: scripts and this server's own paths may not. */
export function safeHref(text) {
  try {
    const url = new URL(text);
    return SAFE_PROTOCOLS.has(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

class InlineParser {
  // Open marks, each with what has come since; the lowest is the text itself. A mark that nothing closes
  // turns into text.
  #frames = [{ mark: '', children: [], hasLink: false }];
  #at = 0;
  #unclosed = new Set(); // marks that are not closed in the rest of the text: nobody looks again

  constructor(text, budget) {
    this.text = text;
    this.budget = budget;
  }

  parse() {
    const { text } = this;
    while (this.#at < text.length) {
      SPECIAL.lastIndex = this.#at;
      const found = this.budget.nodes > 0 ? SPECIAL.exec(text) : null;
      const next = found ? found.index : text.length;
      if (next > this.#at) this.#add(text.slice(this.#at, next));
      this.#at = next;
      if (found) this.#special(found[0]);
    }
    while (this.#frames.length > 1) this.#popAsText();
    return this.#frames[0].children;
  }

  #special(found) {
    switch (found) {
      case '\\': return this.#escape();
      case '`': return this.#codeSpan();
      case '*': case '_': return this.#emphasis(found);
      case '~': return this.#strike();
      case '[': return this.#open('[');
      case ']': return this.#closeBracket();
      case '!': return this.text[this.#at + 1] === '[' ? this.#open('![') : this.#literal(1);
      case '<': return this.#angle();
      case '$': return this.#verbatim('$$', '$$') || this.#literal(1);
      default: return this.#bareUrl();
    }
  }

  // ---- Building

  #add(child) {
    const { children } = this.#frames.at(-1);
    if (typeof child !== 'string') {
      --this.budget.nodes;
      children.push(child);
    } else if (typeof children.at(-1) === 'string') {
      children[children.length - 1] += child;
    } else {
      children.push(child);
    }
  }

  #literal(length) {
    this.#add(this.text.substr(this.#at, length));
    this.#at += length;
  }

  #open(mark) {
    if (this.#frames.length > MOST_DEEP) return this.#literal(mark.length);
    this.#frames.push({ mark, children: [], hasLink: false });
    this.#at += mark.length;
  }

  #popAsText() {
    const { mark, children } = this.#frames.pop();
    this.#add(mark);
    this.#adopt(children);
  }

  #adopt(children) {
    const parent = this.#frames.at(-1).children;
    for (const child of children) {
      if (typeof child === 'string') this.#add(child);
      else parent.push(child);
    }
  }

  /** The highest frame that `is` one, with those above it turned into text; null: there is none. */
  #frameWhere(is) {
    const index = this.#frames.findLastIndex((frame) => is(frame.mark));
    if (index < 0) return null;
    while (this.#frames.length > index + 1) this.#popAsText();
    return this.#frames[index];
  }

  // ---- Kinds of marks

  #escape() {
    const next = this.text[this.#at + 1] ?? '';
    if (next === '(' && this.#verbatim('\\(', '\\)')) return;
    if (next === '[' && this.#verbatim('\\[', '\\]')) return;
    if (!/[!-/:-@[-`{-~]/.test(next)) return this.#literal(1);
    this.#add(next);
    this.#at += 2;
  }

  /** Mathematics: from one mark to the other nothing else is Markdown. */
  #verbatim(open, close) {
    if (!this.text.startsWith(open, this.#at)) return false;
    const end = this.#find(close, this.#at + open.length);
    if (end < 0) return false;
    this.#add({ type: 'math', text: this.text.slice(this.#at, end + close.length) });
    this.#at = end + close.length;
    return true;
  }

  #find(mark, from) {
    if (this.#unclosed.has(mark)) return -1;
    const at = this.text.indexOf(mark, from);
    if (at < 0) this.#unclosed.add(mark);
    return at;
  }

  #codeSpan() {
    const start = this.#at;
    const length = runLength(this.text, start);
    const end = this.#closingTicks(start + length, length);
    if (end < 0) return this.#literal(length);
    let code = this.text.slice(start + length, end).replaceAll('\n', ' ');
    if (code.length > 2 && code.startsWith(' ') && code.endsWith(' ') && code.trim() !== '') code = code.slice(1, -1);
    this.#add({ type: 'code', text: code });
    this.#at = end + length;
  }

  // Runs of each length, where they start: found once, and each is passed by once.
  #tickRuns = null;

  #closingTicks(from, length) {
    this.#tickRuns ??= tickRuns(this.text);
    const runs = this.#tickRuns.get(length) ?? [];
    while (runs.length > 0 && runs.at(-1) < from) runs.pop();
    return runs.at(-1) ?? -1;
  }

  // By the characters beside it a run may open or close. Around * punctuation does not count, unlike in
  // CommonMark: between Chinese characters there are no spaces.
  #emphasis(char) {
    const { text } = this;
    const start = this.#at;
    const length = runLength(text, start);
    const before = text[start - 1] ?? ' ';
    const after = text[start + length] ?? ' ';
    const isWordly = char === '_';
    const mayClose = !/\s/.test(before) && !(isWordly && /[\p{L}\p{N}]/u.test(after));
    const mayOpen = !/\s/.test(after) && !(isWordly && /[\p{L}\p{N}]/u.test(before));
    if (length > 3) return this.#literal(length);
    if (mayClose && this.#closeEmphasis(char, length)) return;
    if (mayOpen) this.#open(char.repeat(length));
    else this.#literal(length);
  }

  // A run of three may be closed at once, or by one of one and one of two in either order.
  #closeEmphasis(char, length) {
    const own = char.repeat(length), three = char.repeat(3);
    const frame = this.#frameWhere((mark) => mark === own || mark === three);
    if (!frame) return false;
    this.#at += length;
    if (frame.mark === own) {
      this.#frames.pop();
        this.#add(emphasised(length, frame.children));
    } else {
      frame.mark = char.repeat(3 - length);
      frame.children = [emphasised(length, frame.children)];
      --this.budget.nodes;
    }
    return true;
  }

  #strike() {
    const length = runLength(this.text, this.#at);
    if (length !== 2) return this.#literal(length);
    const frame = this.#frameWhere((mark) => mark === '~~');
    if (!frame) return this.#open('~~');
    this.#frames.pop();
    this.#add({ type: 'del', children: frame.children });
    this.#at += 2;
  }

  // Pictures become links: to load them would tell another host.
  #closeBracket() {
    const frame = this.#frameWhere((mark) => mark === '[' || mark === '![');
    if (!frame) return this.#literal(1);
    const target = frame.hasLink ? null : this.#linkTarget(this.#at + 1);
    if (!target) {
      this.#popAsText();
      return this.#literal(1);
    }
    this.#frames.pop();
    this.#link(target.href, frame.children.length > 0 ? frame.children : [target.href]);
    this.#at = target.end;
  }

  /** Of "(address)" or "(address "title")" at `from`. */
  #linkTarget(from) {
    const { text } = this;
    if (text[from] !== '(') return null;
    let deep = 0;
    let end = from;
    for (const last = Math.min(text.length, from + MOST_URL); end < last; ++end) {
      if (text[end] === '(' && ++deep > 8) return null;
      if (text[end] === ')' && --deep === 0) break;
      if (text[end] === '\n') return null;
    }
    if (text[end] !== ')') return null;
    const [address] = text.slice(from + 1, end).trim().split(' ', 1);
    const href = safeHref(address.replace(/^<|>$/g, ''));
    return href ? { href, end: end + 1 } : null;
  }

  #link(href, children) {
    this.#add({ type: 'link', href, children });
    for (const frame of this.#frames) frame.hasLink = true; // none of them becomes a link around it
  }

  #angle() {
    const found = /^<br ?\/?>|^<(?:https?:\/\/|mailto:)[^\s<>]{1,2000}>/i.exec(this.text.substr(this.#at, MOST_URL));
    if (!found) return this.#literal(1);
    const [whole] = found;
    const href = safeHref(whole.slice(1, -1));
    if (href) this.#link(href, [whole.slice(1, -1)]);
    else if (whole[1].toLowerCase() === 'b') this.#add({ type: 'break' });
    else return this.#literal(1);
    this.#at += whole.length;
  }

  #bareUrl() {
    const [whole] = /^https?:\/\/[!#-;=?-Z^_a-z~]*/.exec(this.text.substr(this.#at, MOST_URL));
    const url = withoutClosing(whole);
    const href = /^https?:\/\/./.test(url) ? safeHref(url) : null;
    const isInLink = this.#frames.some(({ mark }) => mark === '[' || mark === '![');
    if (!href || isInLink) return this.#literal(url.length || whole.length);
    this.#link(href, [url]);
    this.#at += url.length;
  }
}

function runLength(text, from) {
  let end = from;
  while (text[end] === text[from]) ++end;
  return end - from;
}

/** Length of a run of backticks -> where such runs start, the last one first. */
function tickRuns(text) {
  const runs = new Map();
  for (let at = text.indexOf('`'); at >= 0;) {
    const length = runLength(text, at);
    if (!runs.has(length)) runs.set(length, []);
    runs.get(length).push(at);
    at = text.indexOf('`', at + length);
  }
  for (const starts of runs.values()) starts.reverse();
  return runs;
}

function emphasised(length, children) {
  if (length === 3) return { type: 'em', children: [{ type: 'strong', children }] };
  return { type: length === 2 ? 'strong' : 'em', children };
}

/** An address without what follows it in a sentence. */
function withoutClosing(url) {
  let end = url.length;
  let unopened = url.split(')').length - url.split('(').length;
  for (; end > 0; --end) {
    const isUnopened = url[end - 1] === ')' && unopened > 0;
    if (!isUnopened && !'.,:;!?\'*_~'.includes(url[end - 1])) break;
    if (isUnopened) --unopened;
  }
  return url.slice(0, end);
}
