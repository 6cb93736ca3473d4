// erne's HTTP API as the page needs it. Addresses are relative, so the page also works behind a proxy
// that serves it under a path.
import { SseParser } from './sse.js';

/** `kind`: what to advise. 'http' has a status; 'network' met no server; 'cut' is a stream that broke off. */
export class ApiError extends Error {
  constructor(kind, message, { status = 0, code = '', param = '' } = {}) {
    super(message);
    Object.assign(this, { kind, status, code, param });
  }
}

/** An error as it is kept in a conversation. */
export function errorOf({ kind = 'page', message, status = 0, code = '', param = '' }) {
  return { kind, message: String(message), status, code, param };
}

export class Api {
  #key; // () => the API key, or ''

  constructor(key) {
    this.#key = key;
  }

  /** The served models, as OpenAI lists them. */
  async models() {
    return (await this.#json('v1/models')).data;
  }

  /** {server_load, running, waiting}, with no key. */
  load() {
    return this.#json('load');
  }

  /** The chunks of a chat's answer. Throws ApiError, or AbortError once `signal` says so. */
  async *chat(body, signal) {
    const response = await this.#send('v1/chat/completions', {
      method: 'POST', signal, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body),
    });
    const parser = new SseParser();
    for await (const bytes of readAll(response)) {
      for (const data of parser.push(bytes)) {
        if (data === '[DONE]') return;
        yield chunkOf(data);
      }
    }
    throw new ApiError('cut', '');
  }

  async #json(path) {
    return (await this.#send(path)).json();
  }

  async #send(path, options = {}) {
    const key = this.#key();
    const headers = { ...options.headers, ...(key && { Authorization: `Bearer ${key}` }) };
    let response;
    try {
      response = await fetch(path, { ...options, headers });
    } catch (error) {
      throw error.name === 'AbortError' ? error : new ApiError('network', error.message);
    }
    if (!response.ok) throw await refusalOf(response);
    return response;
  }
}

function chunkOf(data) {
  let chunk;
  try {
    chunk = JSON.parse(data);
  } catch {
    throw new ApiError('cut', data.slice(0, 200));
  }
  if (chunk.error) throw new ApiError('http', chunk.error.message ?? data, { status: 500, ...namesOf(chunk.error) });
  return chunk;
}

async function refusalOf(response) {
  const text = await response.text().catch(() => '');
  let error = null;
  try {
    ({ error } = JSON.parse(text));
  } catch {
    // a proxy's page, for example
  }
  const message = error?.message ?? (text.slice(0, 500) || response.statusText);
  return new ApiError('http', message, { status: response.status, ...namesOf(error) });
}

function namesOf(error) {
  return { code: String(error?.code ?? ''), param: String(error?.param ?? '') };
}

/** A body's pieces; not every browser can iterate over a stream. */
async function* readAll(response) {
  const reader = response.body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } catch (error) {
    throw error.name === 'AbortError' ? error : new ApiError('cut', error.message);
  } finally {
    reader.cancel().catch(() => {}); // left early: the server stops computing
  }
}
