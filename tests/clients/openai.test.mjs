// The npm package `openai`, unmodified, against erne: what users do with it has to work.
// Run by CTest as `node --test` (see setup).
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { ErneServer, until } from './erne_server.mjs';

const MODEL = 'erne-tiny';
const MESSAGES = [{ role: 'user', content: 'What is 7 + 5?' }];
// Ends with the test, not by itself: 15,200 tokens.
const ENDLESS = { n: 8, max_tokens: 1900, ignore_eos: true };

let server;
let openai;

function clientOf(erne, options = {}) {
  return new OpenAI({ baseURL: `${erne.url}/v1`, apiKey: 'none', maxRetries: 0, timeout: 60_000, ...options });
}

async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

const textOf = (chunks, index = 0) =>
  chunks.flatMap((chunk) => chunk.choices).filter((choice) => choice.index === index)
    .map((choice) => choice.delta?.content ?? choice.text ?? '').join('');
const finishesOf = (chunks) =>
  chunks.flatMap((chunk) => chunk.choices).map((choice) => choice.finish_reason).filter(Boolean);

before(async () => {
  server = await ErneServer.start('--served-model-name', MODEL, '--max-num-seqs', '16');
  openai = clientOf(server);
});
after(() => server?.stop());

test('the list of models names the one that is served', async () => {
  const models = await collect(await openai.models.list());
  assert.deepEqual(models.map((model) => model.id), [MODEL]);
  assert.equal(models[0].object, 'model');
});

test('a chat completion', async () => {
  const reply = await openai.chat.completions.create({ model: MODEL, messages: MESSAGES, temperature: 0 });
  assert.match(reply.id, /^chatcmpl-/);
  assert.equal(reply.object, 'chat.completion');
  assert.equal(reply.model, MODEL);
  assert.equal(reply.choices.length, 1);
  const [choice] = reply.choices;
  assert.equal(choice.message.role, 'assistant');
  assert.ok(choice.message.content.length > 0);
  assert.ok(['stop', 'length'].includes(choice.finish_reason));
  const { usage } = reply;
  assert.ok(usage.prompt_tokens > 0 && usage.completion_tokens > 0);
  assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
});

test('a chat can be given as parts and with a system message', async () => {
  const ask = (content) => openai.chat.completions.create({
    model: MODEL, temperature: 0, max_completion_tokens: 8,
    messages: [{ role: 'system', content: 'Be short.' }, { role: 'user', content }],
  });
  const plain = await ask('Say hello');
  const parts = await ask([{ type: 'text', text: 'Say hello' }]);
  assert.equal(parts.choices[0].message.content, plain.choices[0].message.content);
  assert.equal(parts.usage.prompt_tokens, plain.usage.prompt_tokens);
});

test('a completion ends with "length" after exactly max_tokens', async () => {
  const reply = await openai.completions.create(
    { model: MODEL, prompt: 'One day', max_tokens: 9, ignore_eos: true, seed: 1 });
  assert.match(reply.id, /^cmpl-/);
  assert.equal(reply.object, 'text_completion');
  assert.equal(reply.choices[0].finish_reason, 'length');
  assert.equal(reply.usage.completion_tokens, 9);
});

test('a list of prompts gives choices in order, as each alone does', async () => {
  const prompts = ['One', 'Two times', 'Three 三'];
  const ask = (prompt) => openai.completions.create({ model: MODEL, prompt, max_tokens: 6, temperature: 0 });
  const together = await ask(prompts);
  assert.deepEqual(together.choices.map((choice) => choice.index), [0, 1, 2]);
  for (const [index, prompt] of prompts.entries())
    assert.equal(together.choices[index].text, (await ask(prompt)).choices[0].text);
});

test('a streamed chat is the same text, finishes once and reports its usage at the end', async () => {
  const request = { model: MODEL, messages: MESSAGES, temperature: 1, seed: 3, max_tokens: 24, ignore_eos: true };
  const whole = await openai.chat.completions.create(request);
  const chunks = await collect(await openai.chat.completions.create(
    { ...request, stream: true, stream_options: { include_usage: true } }));
  assert.equal(textOf(chunks), whole.choices[0].message.content);
  assert.equal(chunks[0].choices[0].delta.role, 'assistant');
  assert.ok(chunks.every((chunk) => chunk.object === 'chat.completion.chunk' && chunk.id === chunks[0].id));
  assert.deepEqual(finishesOf(chunks), [whole.choices[0].finish_reason]);
  const last = chunks.pop();
  assert.deepEqual(last.choices, []);
  assert.equal(last.usage.completion_tokens, whole.usage.completion_tokens);
  assert.equal(last.usage.prompt_tokens, whole.usage.prompt_tokens);
  assert.ok(chunks.every((chunk) => !chunk.usage), 'usage in the last chunk only');
});

test('a streamed completion is the same text and has no usage unless asked for', async () => {
  const request = { model: MODEL, prompt: 'A story:', temperature: 1, seed: 4, max_tokens: 24 };
  const whole = await openai.completions.create(request);
  const chunks = await collect(await openai.completions.create({ ...request, stream: true }));
  assert.equal(textOf(chunks), whole.choices[0].text);
  assert.deepEqual(finishesOf(chunks), [whole.choices[0].finish_reason]);
  assert.ok(chunks.every((chunk) => chunk.choices.length > 0 && !chunk.usage));
});

test("the SDK's own stream helper assembles the reply", async () => {
  const runner = openai.chat.completions.stream(
    { model: MODEL, messages: MESSAGES, temperature: 0, max_tokens: 16, stream_options: { include_usage: true } });
  const heard = [];
  runner.on('content', (delta) => heard.push(delta));
  const final = await runner.finalChatCompletion();
  const direct = await openai.chat.completions.create(
    { model: MODEL, messages: MESSAGES, temperature: 0, max_tokens: 16 });
  assert.equal(final.choices[0].message.content, direct.choices[0].message.content);
  assert.equal(heard.join(''), final.choices[0].message.content);
  assert.equal((await runner.totalUsage()).total_tokens, direct.usage.total_tokens);
});

test('aborting a stream ends its computation', async () => {
  const running = () => server.metric('fastdeploy:num_requests_running');
  const generated = () => server.metric('fastdeploy:generation_tokens_total');
  await until('an idle server', async () => (await running()) === 0);
  const before = await generated();
  const stream = await openai.chat.completions.create({ model: MODEL, messages: MESSAGES, stream: true, ...ENDLESS });
  let seen = 0;
  for await (const chunk of stream) {
    if (seen === 0) await until('all choices run', async () => (await running()) === ENDLESS.n);
    if (chunk.choices[0].delta.content && ++seen === 5) stream.controller.abort();
  }
  assert.ok(seen >= 5 && seen < ENDLESS.max_tokens);
  await until('no request running after the abort', async () => (await running()) === 0);
  const wasted = (await generated()) - before;
  assert.ok(wasted < ENDLESS.n * ENDLESS.max_tokens / 2, `${wasted} tokens were generated for a client that left after 5`);
});

test('an aborted request that does not stream ends its computation too', async () => {
  const abort = new AbortController();
  const reply = openai.chat.completions.create({ model: MODEL, messages: MESSAGES, ...ENDLESS }, { signal: abort.signal });
  const running = () => server.metric('fastdeploy:num_requests_running');
  reply.catch(() => {}); // looked at below
  await until('the request runs', async () => (await running()) === ENDLESS.n);
  abort.abort();
  await assert.rejects(reply, OpenAI.APIUserAbortError);
  await until('no request running after the abort', async () => (await running()) === 0);
});

test('log-probabilities of a chat', async () => {
  const reply = await openai.chat.completions.create(
    { model: MODEL, messages: MESSAGES, temperature: 0, max_tokens: 12, logprobs: true, top_logprobs: 3 });
  const { content } = reply.choices[0].logprobs;
  assert.ok(content.length > 0);
  for (const entry of content) {
    assert.ok(entry.logprob <= 0);
    assert.equal(entry.top_logprobs.length, 3);
    const logprobs = entry.top_logprobs.map((top) => top.logprob);
    assert.deepEqual(logprobs, [...logprobs].sort((a, b) => b - a), 'best first');
    assert.equal(entry.token, entry.top_logprobs[0].token, 'greedy takes the best');
    assert.equal(entry.logprob, logprobs[0]);
  }
  const bytes = Buffer.from(content.flatMap((entry) => entry.bytes ?? []));
  assert.ok(bytes.toString().startsWith(reply.choices[0].message.content), 'the tokens spell the text');
});

test('log-probabilities of a streamed chat are those of the whole one', async () => {
  const request = { model: MODEL, messages: MESSAGES, temperature: 0, max_tokens: 12, logprobs: true, top_logprobs: 2 };
  const whole = await openai.chat.completions.create(request);
  const chunks = await collect(await openai.chat.completions.create({ ...request, stream: true }));
  const streamed = chunks.flatMap((chunk) => chunk.choices[0]?.logprobs?.content ?? []);
  assert.deepEqual(streamed, whole.choices[0].logprobs.content);
});

test('log-probabilities of a completion, with its prompt', async () => {
  const prompt = 'One two three';
  const reply = await openai.completions.create(
    { model: MODEL, prompt, temperature: 0, max_tokens: 4, logprobs: 2, echo: true });
  const [choice] = reply.choices;
  const { tokens, token_logprobs, top_logprobs, text_offset } = choice.logprobs;
  const count = reply.usage.prompt_tokens + reply.usage.completion_tokens;
  for (const list of [tokens, token_logprobs, top_logprobs, text_offset]) assert.equal(list.length, count);
  assert.equal(token_logprobs[0], null, 'nothing predicts the first token');
  assert.ok(token_logprobs.slice(1).every((value) => value <= 0));
  assert.ok(choice.text.startsWith(prompt));
  for (let i = reply.usage.prompt_tokens; i < count; ++i)
    assert.equal(token_logprobs[i], Math.max(...Object.values(top_logprobs[i])), 'greedy takes the best');
});

test('n choices are different, reproducible, and the first is what n = 1 gives', async () => {
  const ask = async (n) => {
    const reply = await openai.chat.completions.create(
      { model: MODEL, messages: MESSAGES, n, seed: 11, temperature: 1.5, top_p: 1, max_tokens: 24, ignore_eos: true });
    assert.deepEqual(reply.choices.map((choice) => choice.index), [...Array(n).keys()]);
    assert.equal(reply.usage.completion_tokens, 24 * n);
    return reply.choices.map((choice) => choice.message.content);
  };
  const three = await ask(3);
  assert.equal(new Set(three).size, 3);
  assert.deepEqual(await ask(3), three);
  assert.deepEqual(await ask(1), three.slice(0, 1));
});

test('n streamed choices are those of the whole reply, each finished once', async () => {
  const request = { model: MODEL, prompt: 'A story:', n: 3, seed: 12, temperature: 1.5, max_tokens: 16 };
  const whole = await openai.completions.create(request);
  const chunks = await collect(await openai.completions.create({ ...request, stream: true }));
  for (const choice of whole.choices) assert.equal(textOf(chunks, choice.index), choice.text);
  assert.equal(finishesOf(chunks).length, 3);
});

test('a seed decides the text', async () => {
  const ask = async (seed) => {
    const reply = await openai.completions.create(
      { model: MODEL, prompt: 'A story:', seed, temperature: 1.5, top_p: 1, max_tokens: 24, ignore_eos: true });
    return reply.choices[0].text;
  };
  const text = await ask(5);
  assert.equal(await ask(5), text);
  assert.notEqual(await ask(6), text);
});

test('a stop string ends the text before it', async () => {
  const request = { model: MODEL, prompt: 'A story:', temperature: 0, max_tokens: 24, ignore_eos: true };
  const { text } = (await openai.completions.create(request)).choices[0];
  const stop = text.slice(5, 8);
  const stopped = await openai.completions.create({ ...request, stop: [stop] });
  assert.equal(stopped.choices[0].text, text.slice(0, text.indexOf(stop)));
  assert.equal(stopped.choices[0].finish_reason, 'stop');
  assert.ok(stopped.usage.completion_tokens < 24, 'nothing is generated beyond it');
});

test('BadRequestError names the field', async (t) => {
  const chat = { model: MODEL, messages: MESSAGES };
  const cases = [
    ['temperature', { ...chat, temperature: 5 }],
    ['max_tokens', { ...chat, max_tokens: -1 }],
    ['top_logprobs', { ...chat, top_logprobs: 3 }],
    ['messages', { model: MODEL }],
    ['messages[0].role', { model: MODEL, messages: [{ role: 'wizard', content: 'hi' }] }],
    ['stream_options', { ...chat, stream_options: { include_usage: true } }],
    ['no_such_field', { ...chat, no_such_field: 1 }],
    ['tools', { ...chat, tools: [{ type: 'function', function: { name: 'f' } }] }],
  ];
  for (const [param, body] of cases)
    await t.test(param, () => assert.rejects(openai.chat.completions.create(body), (error) => {
      assert.ok(error instanceof OpenAI.BadRequestError, `${error}`);
      assert.equal(error.status, 400);
      assert.equal(error.param, param);
      assert.ok(error.message.includes(param.replace(/[[.].*/, '')), error.message);
      return true;
    }));
});

test('a prompt that is too long is a BadRequestError with a code', async () => {
  await assert.rejects(openai.completions.create({ model: MODEL, prompt: 'long '.repeat(3000) }), (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError, `${error}`);
    assert.equal(error.code, 'context_length_exceeded');
    assert.equal(error.param, 'prompt');
    return true;
  });
});

test('an unknown model, and an unknown path, is a NotFoundError', async () => {
  await assert.rejects(openai.chat.completions.create({ model: 'gpt-9', messages: MESSAGES }), (error) => {
    assert.ok(error instanceof OpenAI.NotFoundError, `${error}`);
    assert.equal(error.param, 'model');
    return true;
  });
  await assert.rejects(openai.get('/no/such/path'), OpenAI.NotFoundError);
});

test('a wrong key is an AuthenticationError, a right one is not', async () => {
  const guarded = await ErneServer.start('--api-key', 'sesame', '--api-key', 'open');
  try {
    for (const apiKey of ['sesam', 'sesame2', 'none'])
      await assert.rejects(clientOf(guarded, { apiKey }).models.list(), OpenAI.AuthenticationError);
    for (const apiKey of ['sesame', 'open'])
      assert.equal((await collect(await clientOf(guarded, { apiKey }).models.list())).length, 1);
  } finally {
    await guarded.stop();
  }
});

test('a full server', async (t) => {
  const narrow = await ErneServer.start('--max-concurrency', '1');
  const holder = clientOf(narrow);
  const hold = async () => {
    const stream = await holder.chat.completions.create({ model: MODEL, messages: MESSAGES, stream: true, ...ENDLESS });
    const iterator = stream[Symbol.asyncIterator]();
    await iterator.next(); // it has the slot
    return stream;
  };
  const ask = (client) => client.chat.completions.create({ model: MODEL, messages: MESSAGES, max_tokens: 2 });
  const idle = () => until('an idle server', async () => (await narrow.metric('fastdeploy:num_requests_running')) === 0);

  await t.test('is a RateLimitError with Retry-After', async () => {
    const stream = await hold();
    await assert.rejects(ask(clientOf(narrow)), (error) => {
      assert.ok(error instanceof OpenAI.RateLimitError, `${error}`);
      assert.match(error.headers.get('retry-after'), /^[0-9]+$/);
      return true;
    });
    stream.controller.abort();
    await idle();
  });

  await t.test("is overcome by the SDK's retries once there is room", async () => {
    const stream = await hold();
    const replies = [];
    const watched = async (...request) => {
      const reply = await fetch(...request);
      replies.push({ status: reply.status, at: Date.now() });
      if (reply.status === 429) stream.controller.abort(); // now there is room
      return reply;
    };
    const reply = await ask(clientOf(narrow, { maxRetries: 3, fetch: watched }));
    assert.equal(reply.usage.completion_tokens, 2);
    assert.deepEqual(replies.map(({ status }) => status), [429, 200]);
    assert.ok(replies[1].at - replies[0].at >= 900, 'it waited for the second that Retry-After asks for');
  });
  await narrow.stop();
});
