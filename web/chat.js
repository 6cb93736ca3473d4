// The open conversation: its messages, their views, and the answer that is coming, if one is.
import { addChunk, emptyAnswer, isCalling, requestMessages } from './answer.js';
import { errorOf } from './api.js';
import { AnswerView, ToolResultView, UserView } from './message_view.js';
import { requestFields } from './settings.js';

const TICK_MS = 500; // seconds on the page go on while nothing comes
const REST = 4; // how many times longer than showing an answer the page rests after it

export class Chat extends EventTarget {
  messages = [];
  #page; // {api, speaker, settings(): Settings, list: the element of messages}
  #views = [];
  #abort = null; // of the answer that is coming

  /** Events: 'change' after messages changed for good, 'begin' and 'end' of an answer. */
  constructor(page) {
    super();
    this.#page = page;
  }

  get isAnswering() {
    return this.#abort !== null;
  }

  /** Shows another conversation; what was coming is stopped. */
  open(messages) {
    this.stop();
    this.messages = messages;
    this.redraw();
  }

  redraw() {
    this.#views = [];
    this.#page.list.replaceChildren();
    for (const message of this.messages) this.#show(message);
  }

  send(text) {
    this.#add({ role: 'user', content: text });
    return this.#answer();
  }

  /** The last answer once more. */
  retry() {
    return this.#answerFrom(this.messages.findLastIndex((message) => message.role === 'assistant'));
  }

  stop() {
    this.#abort?.abort();
    this.#abort = null;
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  // ---- Messages and their views

  #add(message) {
    this.messages.push(message);
    this.#show(message);
    const before = this.messages.length - 2;
    if (before >= 0 && isCalling(this.messages[before])) this.#replaceView(before); // it takes no results any more
  }

  #show(message) {
    const index = this.#views.length;
    const view = this.#viewOf(message, index);
    this.#views.push(view);
    this.#page.list.append(view.root);
    if (message.role === 'assistant') view.update();
  }

  #viewOf(message, index) {
    const { speaker } = this.#page;
    if (message.role === 'user') return new UserView(speaker, message, { onEdit: (text) => this.#edit(index, text) });
    if (message.role === 'tool') return new ToolResultView(speaker, message);
    const isLast = index === this.messages.length - 1;
    return new AnswerView(speaker, message, {
      onRetry: () => this.#answerFrom(index),
      onResults: isLast ? (results) => this.#sendResults(results) : null,
    });
  }

  #cut(length) {
    this.stop();
    this.messages.length = length;
    for (const view of this.#views.splice(length)) view.root.remove();
  }

  #edit(index, text) {
    this.#cut(index);
    return this.send(text);
  }

  #answerFrom(index) {
    if (index < 0) return null;
    this.#cut(index);
    return this.#answer();
  }

  #sendResults(results) {
    for (const result of results) this.#add({ role: 'tool', ...result });
    return this.#answer();
  }

  #replaceView(index) {
    const view = this.#viewOf(this.messages[index], index);
    this.#views[index].root.replaceWith(view.root);
    this.#views[index] = view;
    view.update();
  }

  // ---- Answers

  async #answer() {
    this.stop();
    const abort = new AbortController();
    this.#abort = abort;
    const asked = this.messages.slice();
    const message = emptyAnswer();
    this.#add(message);
    const drawing = new Drawing(this.#views.at(-1));
    this.#emit('begin');
    await this.#receive(asked, message, drawing, abort.signal);
    drawing.end();
    if (this.#abort === abort) this.#abort = null;
    if (!this.messages.includes(message)) return; // another conversation is open
    this.#emit('end', message);
    this.#emit('change');
  }

  async #receive(asked, message, drawing, signal) {
    try {
      for await (const chunk of this.#page.api.chat(this.#request(asked), signal)) {
        addChunk(message, chunk, drawing.elapsed());
        drawing.show();
      }
    } catch (error) {
      if (signal.aborted) message.finish = 'stopped';
      else message.error = errorOf(error);
    }
  }

  #request(messages) {
    const settings = this.#page.settings();
    let fields;
    try {
      fields = requestFields(settings);
    } catch {
      throw new Error(this.#page.speaker.word('badTools'));
    }
    return {
      model: 'default', messages: requestMessages(settings.system, messages), stream: true,
      stream_options: { include_usage: true }, ...fields,
    };
  }
}

/** Shows an answer that grows: at most once a frame, more seldom the longer it takes. */
class Drawing {
  #view;
  #begun = performance.now();
  #pending = 0; // of a timer; 0: none
  #rest = 0; // ms
  #ticks;

  constructor(view) {
    this.#view = view;
    this.#ticks = setInterval(() => this.show(), TICK_MS);
    this.#draw(true);
  }

  elapsed() {
    return (performance.now() - this.#begun) / 1000;
  }

  show() {
    this.#pending ||= setTimeout(() => requestAnimationFrame(() => this.#pending && this.#draw(true)), this.#rest);
  }

  end() {
    clearInterval(this.#ticks);
    clearTimeout(this.#pending);
    this.#draw(false);
  }

  #draw(live) {
    this.#pending = 0;
    const start = performance.now();
    this.#view.update({ live, elapsed: this.elapsed() });
    this.#rest = REST * (performance.now() - start);
  }
}
