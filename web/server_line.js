// What is known of the server, asked now and then: its model, or why there is none, and how busy it is.

const SOON_MS = 1500;
const LATER_MS = 5000;

export class ServerLine extends EventTarget {
  state = 'connecting'; // or 'loading', 'ready', 'needsKey', 'unreachable'
  model = null; // of /v1/models
  load = null; // of /load
  #api;
  #timer = 0;

  /** Event 'change'. */
  constructor(api) {
    super();
    this.#api = api;
    document.addEventListener('visibilitychange', () => document.hidden || this.ask());
  }

  /** Asks now, and again when it is time. */
  async ask() {
    clearTimeout(this.#timer);
    await (this.state === 'ready' ? this.#askLoad() : this.#askModels());
    this.dispatchEvent(new Event('change'));
    clearTimeout(this.#timer);
    if (this.state !== 'needsKey' && !document.hidden)
      this.#timer = setTimeout(() => this.ask(), this.state === 'ready' ? LATER_MS : SOON_MS);
  }

  /** After a new key: everything may be different. */
  askAgain() {
    this.state = 'connecting';
    return this.ask();
  }

  async #askModels() {
    try {
      [this.model] = await this.#api.models();
      this.state = 'ready';
    } catch (error) {
      this.model = null;
      this.state = error.status === 401 ? 'needsKey' : error.code === 'loading' ? 'loading' : 'unreachable';
      return;
    }
    await this.#askLoad();
  }

  async #askLoad() {
    try {
      this.load = await this.#api.load();
    } catch {
      this.load = null;
      this.state = 'unreachable';
    }
  }
}

/** {title, detail}: the two texts of the page's head. */
export function serverTexts(speaker, { state, model, load }) {
  if (state !== 'ready') return { title: 'erne', detail: speaker.word(state) };
  const count = (number) => speaker.whole.format(number);
  const parts = [];
  if (model?.max_model_len) parts.push(speaker.word('contextOf', { count: count(model.max_model_len) }));
  if (load) {
    const isIdle = !load.running && !load.waiting;
    const values = { running: count(load.running), waiting: count(load.waiting) };
    parts.push(speaker.word(isIdle ? 'idle' : 'load', values));
  }
  return { title: model?.id ?? 'erne', detail: parts.join(' · ') };
}
