// Thoughts and calls of tools by the npm package `openai`, unmodified, with a model that has learnt both.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import OpenAI from 'openai';
import { ErneServer } from './erne_server.mjs';

const MODEL = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../models/erne-tiny-moe');
const WEATHER = {
  type: 'function',
  function: {
    name: 'get_weather',
    description: 'The weather of a city',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
};
const QUESTION = { role: 'user', content: 'What is the weather in Paris?' };
const ASK = { model: 'erne-tiny-moe', temperature: 0, messages: [QUESTION], tools: [WEATHER] };

let server;
let openai;

before(async () => {
  server = await ErneServer.startModel(MODEL, '--served-model-name', ASK.model);
  openai = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0, timeout: 60_000 });
});
after(() => server?.stop());

const ask = (more) => openai.chat.completions.create({ ...ASK, ...more });

test('a tool is called', async () => {
  const { choices: [{ message, finish_reason }] } = await ask();
  assert.equal(finish_reason, 'tool_calls');
  assert.equal(message.content, null);
  assert.equal(message.tool_calls.length, 1);
  const [call] = message.tool_calls;
  assert.equal(call.type, 'function');
  assert.ok(call.id.length > 0);
  assert.equal(call.function.name, 'get_weather');
  assert.deepEqual(JSON.parse(call.function.arguments), { city: 'Paris' });
});

test('a streamed call is the same: first its name, then its arguments', async () => {
  const [whole, stream] = await Promise.all([ask(), ask({ stream: true })]);
  const deltas = [];
  let finish;
  for await (const { choices: [choice] } of stream) {
    deltas.push(...(choice?.delta.tool_calls ?? []));
    assert.ok(!choice?.delta.content);
    finish = choice?.finish_reason ?? finish;
  }
  assert.equal(finish, 'tool_calls');
  assert.equal(deltas[0].function.name, 'get_weather');
  assert.ok(deltas[0].id.length > 0);
  assert.ok(deltas.length > 1);
  assert.ok(deltas.slice(1).every((delta) => delta.id === undefined && delta.function.name === undefined));
  assert.equal(deltas.map((delta) => delta.function.arguments ?? '').join(''),
    whole.choices[0].message.tool_calls[0].function.arguments);
});

test('what a tool returned is answered from', async () => {
  const { choices: [{ message }] } = await ask();
  const result = { role: 'tool', tool_call_id: message.tool_calls[0].id, content: '{"weather": "sunny", "degrees": 21}' };
  const { choices: [answer] } = await ask({ messages: [QUESTION, message, result] });
  assert.equal(answer.finish_reason, 'stop');
  assert.equal(answer.message.tool_calls, undefined);
  assert.match(answer.message.content, /Paris/);
  assert.match(answer.message.content, /21/);
});

test("the SDK's own loop runs the tool", async () => {
  const asked = [];
  const runner = openai.chat.completions.runTools({
    ...ASK,
    tools: [{
      type: 'function',
      function: {
        ...WEATHER.function,
        parse: JSON.parse,
        function: ({ city }) => {
          asked.push(city);
          return { weather: 'rainy', degrees: 4 };
        },
      },
    }],
  });
  assert.match(await runner.finalContent(), /4/);
  assert.deepEqual(asked, ['Paris']);
});

test('with tool_choice "none" the model is told of no tools', async () => {
  const { choices: [{ message, finish_reason }] } = await ask({ tool_choice: 'none' });
  assert.equal(finish_reason, 'stop');
  assert.equal(message.tool_calls, undefined);
});

test('a thought is told apart, whole and streamed, and its tokens are counted', async () => {
  const thinking = { tools: undefined, chat_template_kwargs: { enable_thinking: true } };
  const { choices: [{ message }], usage } = await ask(thinking);
  assert.ok(message.reasoning_content.trim().length > 0);
  assert.ok(!message.content.includes('think>'));
  const { reasoning_tokens: thought } = usage.completion_tokens_details;
  assert.ok(thought > 0 && thought < usage.completion_tokens);
  let reasoning = '', content = '';
  for await (const { choices: [{ delta }] } of await ask({ ...thinking, stream: true })) {
    reasoning += delta.reasoning_content ?? '';
    content += delta.content ?? '';
  }
  assert.deepEqual([reasoning, content], [message.reasoning_content, message.content]);
});

test('thinking is turned on by every name it goes by', async () => {
  for (const name of [{ enable_thinking: true }, { thinking: { type: 'enabled' } }, { reasoning_effort: 'high' }]) {
    const { choices: [{ message }] } = await ask({ ...name, tools: undefined });
    assert.ok(message.reasoning_content, JSON.stringify(name));
  }
});

test('where a call is owed it comes, valid to its schema, whatever is asked', async () => {
  const SCHEMA = {
    type: 'object', additionalProperties: false, required: ['n', 'unit'],
    properties: { n: { type: 'integer', minimum: 0, maximum: 99 }, unit: { enum: ['C', 'F'] } },
  };
  const set = { type: 'function', function: { name: 'set_heat', parameters: SCHEMA } };
  const look = { type: 'function', function: { ...WEATHER.function,
    parameters: { type: 'object', properties: { city: { type: 'string', maxLength: 20 } }, required: ['city'],
      additionalProperties: false } } };
  const questions = ['Hello', 'What is 7 + 5?', 'Tell me a story.', 'Sort: b a c', 'Weather in Rome?'];
  for (const tool_choice of ['required', { type: 'function', function: { name: 'set_heat' } }])
    await Promise.all(questions.flatMap((content) => [0, 1, 2, 3, 4].map(async (seed) => {
      const { choices: [{ message, finish_reason }] } = await ask({
        messages: [{ role: 'user', content }], tools: [look, set], tool_choice, temperature: 1, seed, max_tokens: 600,
        parallel_tool_calls: false,
      });
      assert.equal(finish_reason, 'tool_calls', JSON.stringify(message));
      assert.equal(message.tool_calls.length, 1);
      const [{ function: { name, arguments: text } }] = message.tool_calls;
      const values = JSON.parse(text);
      if (tool_choice !== 'required') assert.equal(name, 'set_heat');
      if (name === 'set_heat')
        assert.ok(Number.isInteger(values.n) && ['C', 'F'].includes(values.unit), text);
    })));
});

test('a schema binds what comes after the thought', async () => {
  const schema = { type: 'object', properties: { sum: { type: 'integer', minimum: 0, maximum: 99 } }, required: ['sum'],
    additionalProperties: false };
  const { choices: [{ message }] } = await ask({
    tools: undefined, enable_thinking: true, messages: [{ role: 'user', content: 'What is 7 + 5?' }],
    response_format: { type: 'json_schema', json_schema: { name: 'sum', schema, strict: true } },
  });
  assert.ok(message.reasoning_content.trim().length > 0);
  assert.equal(typeof JSON.parse(message.content).sum, 'number');
});

test('a thought that reaches its limit is closed, and the answer follows', async () => {
  const { choices: [{ message }], usage } = await ask({
    tools: undefined, enable_thinking: true, reasoning_max_tokens: 3,
    logits_processors_args: { think_stop_sentence: 'Enough.' },
  });
  assert.match(message.reasoning_content, /Enough\.\n$/);
  assert.ok(message.content.length > 0);
  assert.ok(usage.completion_tokens_details.reasoning_tokens < 20);
});

test('what is no tool is a BadRequestError that names it', async () => {
  for (const [tools, param] of [[[{ type: 'function' }], 'tools[0].function'], [[WEATHER, WEATHER], 'tools[1]']])
    await assert.rejects(ask({ tools }), (error) => error instanceof OpenAI.BadRequestError && error.param === param);
});
