// One message of a conversation on the page. A view has `root`, its element, and shows what it is given;
// what its buttons do is the chat's business.
import { callId, isCalling, tokensPerSecond } from './answer.js';
import { button, copyButton, element, fitHeight } from './dom.js';
import { MarkdownView } from './markdown_view.js';

function frame(kind, name, ...children) {
  return element('li', { class: `message ${kind}` }, element('h2', { class: 'unseen' }, name), ...children);
}

export class UserView {
  /** onEdit(text) asks for the conversation to go on from the changed message. */
  constructor(speaker, message, { onEdit }) {
    const text = element('div', { class: 'text' }, message.content);
    const edit = button(speaker.word('edit'), () => {
      const editor = editorOf(speaker, message.content, onEdit, () => {
        editor.replaceWith(text);
        actions.hidden = false;
        edit.focus();
      });
      text.replaceWith(editor);
      actions.hidden = true;
      editor.focusField();
    });
    const actions = element('div', { class: 'actions' }, copyButton(speaker, () => message.content), edit);
    this.root = frame('user', speaker.word('you'), text, actions);
  }
}

function editorOf(speaker, content, onDone, onCancel) {
  const field = element('textarea', { 'aria-label': speaker.word('edit') });
  field.value = content;
  field.addEventListener('input', () => fitHeight(field));
  const editor = element('form', { class: 'editor' }, field,
    element('div', { class: 'buttons' }, button(speaker.word('cancel'), onCancel),
      element('button', { type: 'submit', class: 'main' }, speaker.word('send'))));
  const send = () => field.value.trim() && onDone(field.value);
  editor.addEventListener('submit', (event) => {
    event.preventDefault();
    send();
  });
  editor.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') onCancel();
    else if (event.target === field && isSendKey(event)) send();
    else return;
    event.preventDefault();
    event.stopPropagation(); // else Esc would stop an answer, too
  });
  editor.focusField = () => {
    field.focus();
    fitHeight(field);
  };
  return editor;
}

/** Enter alone; not the one by which Chinese is composed. */
export function isSendKey(event) {
  return event.key === 'Enter' && !event.shiftKey && !event.isComposing && event.keyCode !== 229;
}

export class ToolResultView {
  constructor(speaker, message) {
    this.root = frame('tool', speaker.word('toolResult'), element('pre', { tabindex: '0' }, message.content));
  }
}

export class AnswerView {
  #speaker;
  #on; // {onRetry(), onResults([text])}
  #message;
  #thoughts = element('details', { class: 'thoughts', hidden: true });
  #thoughtsTitle = element('summary');
  #thoughtsText = element('div', { class: 'text' });
  #body;
  #calls = element('div');
  #callViews = [];
  #waiting = element('p', { class: 'faint waiting' });
  #end = element('div'); // after the answer: its error, results to send, figures and buttons

  constructor(speaker, message, on) {
    this.#speaker = speaker;
    this.#message = message;
    this.#on = on;
    this.#body = new MarkdownView(speaker);
    this.#thoughts.append(this.#thoughtsTitle, this.#thoughtsText);
    this.root = frame('answer', speaker.word('model'),
      this.#thoughts, this.#body.root, this.#calls, this.#waiting, this.#end);
  }

  /** Shows the message as it is now. `live`: more may come; `elapsed`: seconds since the request. */
  update({ live = false, elapsed = 0 } = {}) {
    const { content, reasoning, toolCalls } = this.#message;
    this.#updateThoughts(live, elapsed);
    this.#body.update(content);
    this.#updateCalls(toolCalls, live);
    const isWaiting = live && !content && !reasoning && toolCalls.length === 0;
    this.#waiting.hidden = !isWaiting;
    this.#waiting.textContent = isWaiting ? this.#speaker.word('waiting', { seconds: Math.floor(elapsed) }) : '';
    this.root.classList.toggle('live', live);
    this.#end.replaceChildren(...(live ? [] : this.#ending()));
  }

  #updateThoughts(live, elapsed) {
    const { content, reasoning, toolCalls, seconds } = this.#message;
    this.#thoughts.hidden = reasoning === '';
    if (reasoning === '') return;
    const isThinking = live && !content && toolCalls.length === 0;
    this.#thoughtsTitle.textContent = isThinking
      ? this.#speaker.word('thinkingNow', { seconds: Math.floor(elapsed) })
      : this.#speaker.word('thoughtFor', { seconds: this.#speaker.tenths.format(seconds.thinking ?? 0) });
    const text = reasoning.trim();
    if (this.#thoughtsText.textContent !== text) this.#thoughtsText.textContent = text;
  }

  #updateCalls(calls, live) {
    calls.forEach((call, index) => {
      if (!this.#callViews[index]) {
        const title = element('h3'), text = element('pre', { tabindex: '0' });
        this.#callViews[index] = { title, text };
        this.#calls.append(element('section', { class: 'call' }, title, text));
      }
      const { title, text } = this.#callViews[index];
      title.textContent = this.#speaker.word('calls', { name: call.name });
      text.textContent = live ? call.arguments : indented(call.arguments);
    });
  }

  #ending() {
    const { content, toolCalls, error } = this.#message;
    const parts = [];
    if (error) parts.push(this.#errorCard(error));
    if (isCalling(this.#message) && this.#on.onResults) parts.push(this.#resultForm(toolCalls));
    const actions = element('div', { class: 'actions' },
      content ? copyButton(this.#speaker, () => content) : null,
      button(this.#speaker.word('retry'), this.#on.onRetry));
    const figures = element('span', { class: 'faint figures' }, this.#figures());
    parts.push(element('div', { class: 'ending' }, actions, figures));
    return parts;
  }

  #errorCard(error) {
    const isCut = this.#message.content !== '' || this.#message.reasoning !== '';
    const { name, values } = adviceFor(error);
    return element('div', { class: 'error', role: 'alert' },
      element('strong', {}, this.#speaker.word(isCut ? 'errorTitleCut' : 'errorTitle')),
      error.message ? element('p', {}, error.message) : null,
      element('p', {}, this.#speaker.word(name, values)));
  }

  /** Whoever has the page plays the tools. */
  #resultForm(calls) {
    const fields = calls.map(({ name }) => {
      const label = this.#speaker.word('resultOf', { name });
      return element('textarea', { rows: '2', 'aria-label': label, placeholder: label });
    });
    const send = element('button', { type: 'submit', class: 'main' }, this.#speaker.word('sendResults'));
    const resultOf = (call, index) => ({ toolCallId: callId(call, index), content: fields[index].value });
    const onsubmit = (event) => {
      event.preventDefault();
      this.#on.onResults(calls.map(resultOf));
    };
    return element('form', { class: 'editor', onsubmit }, ...fields, element('div', { class: 'buttons' }, send));
  }

  #figures() {
    const { usage, seconds, finish } = this.#message;
    const { whole, tenths } = this.#speaker;
    const word = (name, values) => this.#speaker.word(name, values);
    const parts = [];
    if (finish === 'length') parts.push(word('endedByLength'));
    if (finish === 'stopped') parts.push(word('stopped'));
    if (usage) parts.push(word('tokens', { count: whole.format(usage.completion_tokens) }));
    const speed = tokensPerSecond(this.#message);
    if (speed) parts.push(word('speed', { speed: tenths.format(speed) }));
    if (seconds.first !== null) parts.push(word('firstAfter', { seconds: tenths.format(seconds.first) }));
    if (usage) parts.push(promptFigure(word, whole, usage));
    return parts.join(' · ');
  }
}

function promptFigure(word, whole, usage) {
  const cached = usage.prompt_tokens_details?.cached_tokens ?? 0;
  const values = { count: whole.format(usage.prompt_tokens), cached: whole.format(cached) };
  return word(cached > 0 ? 'cached' : 'promptTokens', values);
}

function indented(json) {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
}

/** The word that says what to do about an error, and its values. */
export function adviceFor({ kind, status, code, param }) {
  if (kind === 'network') return { name: 'adviseNetwork' };
  if (kind === 'cut') return { name: 'adviseCut' };
  if (kind === 'page') return { name: 'advisePage' };
  if (status === 401 || status === 403) return { name: 'adviseKey' };
  if (status === 404) return { name: 'adviseGone' };
  if (code === 'loading') return { name: 'adviseLoading' };
  if (code === 'context_length_exceeded') return { name: 'adviseLong' };
  if (status === 429 || status === 503) return { name: 'adviseBusy' };
  if (status >= 500) return { name: 'adviseServer' };
  return { name: 'adviseRequest', values: { param } };
}
