// Conversations in the browser's storage, each under a key of its own and all of them in one index,
// newest first. Bounded: the oldest go when there are too many, or when the browser has no more room.

const MOST_CONVERSATIONS = 50;
const INDEX = 'erne.chats';
const TITLE_LENGTH = 60;

const placeOf = (id) => `erne.chat.${id}`;

export class Conversations {
  #storage;

  constructor(storage) {
    this.#storage = storage;
  }

  /** [{id, title, time}], newest first. */
  list() {
    const index = this.#read(INDEX);
    return Array.isArray(index) ? index.filter((entry) => typeof entry?.id === 'string') : [];
  }

  /** A conversation's messages; none where it is not there, or is no conversation. */
  messages(id) {
    const messages = this.#read(placeOf(id));
    return Array.isArray(messages) && messages.every(isMessage) ? messages : [];
  }

  /** Makes it the newest. False: there is no room for it, even alone. */
  save(id, messages) {
    const index = [
      { id, title: titleOf(messages), time: Date.now() }, ...this.list().filter((entry) => entry.id !== id)];
    for (const { id: old } of index.splice(MOST_CONVERSATIONS)) this.#storage.removeItem(placeOf(old));
    const text = JSON.stringify(messages);
    for (;;) {
      try {
        this.#storage.setItem(placeOf(id), text);
        this.#storage.setItem(INDEX, JSON.stringify(index));
        return true;
      } catch {
        if (index.length < 2) return false;
        this.#storage.removeItem(placeOf(index.pop().id));
      }
    }
  }

  remove(id) {
    this.#storage.removeItem(placeOf(id));
    this.#storage.setItem(INDEX, JSON.stringify(this.list().filter((entry) => entry.id !== id)));
  }

  #read(place) {
    try {
      return JSON.parse(this.#storage.getItem(place));
    } catch {
      return null;
    }
  }
}

function isMessage(message) {
  if (typeof message?.content !== 'string') return false;
  if (message.role !== 'assistant') return message.role === 'user' || message.role === 'tool';
  const { reasoning, toolCalls, seconds } = message;
  return typeof reasoning === 'string' && Array.isArray(toolCalls) && typeof seconds === 'object';
}

function titleOf(messages) {
  const first = messages.find((message) => message.role === 'user')?.content ?? '';
  return first.trim().replace(/\s+/g, ' ').slice(0, TITLE_LENGTH);
}
