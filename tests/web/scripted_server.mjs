// A server in front of a real erne which answers chats itself, as a test says: the page, its headers and
// everything else are the real one's.
import { once } from 'node:events';
import { createServer, request as ask } from 'node:http';

export class ScriptedServer {
  requests = []; // bodies of chats, in order
  #upstream; // address of the real one
  #answers = []; // (reply, body) => Promise, for the chats to come
  #overrides = new Map(); // path -> (response) => void

  static async start(upstream, port = 0) {
    const server = new ScriptedServer();
    server.#upstream = upstream;
    server.http = createServer((request, response) => server.#serve(request, response));
    server.http.listen(port, '127.0.0.1');
    await once(server.http, 'listening');
    server.url = `http://127.0.0.1:${server.http.address().port}`;
    return server;
  }

  /** The next chat is answered by `answer(reply)`. */
  next(answer) {
    this.#answers.push(answer);
  }

  /** The next chat is answered by the real server, asked for more than the page can ask for. */
  nextReal(fields) {
    this.#answers.push(({ response }, body) =>
      forwardBody(this.#upstream, response, JSON.stringify({ ...body, ...fields })));
  }

  /** The path is answered by `answer(response)` until it is given none. */
  override(path, answer) {
    if (answer) this.#overrides.set(path, answer);
    else this.#overrides.delete(path);
  }

  async stop() {
    const closed = once(this.http, 'close');
    this.http.close();
    this.http.closeAllConnections();
    await closed;
  }

  #serve(request, response) {
    const override = this.#overrides.get(request.url);
    if (override) override(response);
    else if (request.url === '/v1/chat/completions') this.#chat(request, response);
    else request.pipe(forward(this.#upstream, request, response));
  }

  async #chat(request, response) {
    let body = '';
    for await (const piece of request) body += piece;
    this.requests.push(JSON.parse(body));
    const answer = this.#answers.shift() ?? ((reply) => reply.text('No script.'));
    await answer(new Reply(response), this.requests.at(-1));
  }
}

/** A request to the real server, to be written and ended, whose reply becomes `response`. */
function forward(upstream, { method, url, headers }, response) {
  const passed = ask(`${upstream}${url}`, { method, headers }, (reply) => {
    response.writeHead(reply.statusCode, reply.headers);
    reply.pipe(response);
  });
  passed.on('error', () => response.destroy());
  response.on('close', () => passed.destroy());
  return passed;
}

function forwardBody(upstream, response, body) {
  const headers = { 'Content-Type': 'application/json' };
  forward(upstream, { method: 'POST', url: '/v1/chat/completions', headers }, response).end(body);
}

export function jsonReply(response, status, body) {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(body));
}

/** What a script does with a chat. */
export class Reply {
  isGone = false; // the client left

  constructor(response) {
    this.response = response;
    response.on('close', () => { this.isGone = !response.writableFinished; });
  }

  delta(delta, finish = null) {
    this.event({ choices: [{ index: 0, delta, finish_reason: finish }] });
  }

  event(data) {
    if (!this.response.headersSent) this.response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    this.response.write(`data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`);
  }

  end(finish = 'stop', usage = { prompt_tokens: 21, completion_tokens: 42, total_tokens: 63 }) {
    this.delta({}, finish);
    this.event({ choices: [], usage });
    this.event('[DONE]');
    this.response.end();
  }

  text(content) {
    this.delta({ role: 'assistant', content });
    this.end();
  }

  error(status, code, message, param = null) {
    jsonReply(this.response, status, { error: { message, type: 'x', param, code } });
  }

  whole(status, text) {
    this.response.writeHead(status);
    this.response.end(text);
  }

  /** The stream ends as if it were complete. */
  close() {
    this.response.end();
  }

  /** The connection breaks. */
  cut() {
    this.response.destroy();
  }
}
