// /v1/responses by the npm package `openai`, unmodified, against erne.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import OpenAI from 'openai';
import { ErneServer } from './erne_server.mjs';

const MODEL = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../models/erne-tiny-moe');
const WEATHER = {
  type: 'function',
  name: 'get_weather',
  description: 'The weather of a city',
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  strict: false,
};
const ASK = { model: 'erne-tiny-moe', temperature: 0, input: 'What is 7 + 5?' };
const ASK_WEATHER = { ...ASK, tools: [WEATHER], input: 'What is the weather in Paris?' };

let server;
let openai;

before(async () => {
  server = await ErneServer.startModel(MODEL, '--served-model-name', ASK.model);
  openai = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0, timeout: 60_000 });
});
after(() => server?.stop());

const create = (more) => openai.responses.create({ ...ASK, ...more });

async function collect(stream) {
  const events = [];
  for await (const event of stream) events.push(event);
  return events;
}

/** What does not differ from one response to the next. */
const lasting = (output) => JSON.parse(JSON.stringify(output, (key, value) => (key.endsWith('id') ? undefined : value)));

test('a response', async () => {
  const response = await create();
  assert.match(response.id, /^resp_/);
  assert.equal(response.object, 'response');
  assert.equal(response.status, 'completed');
  assert.match(response.output_text, /12/);
  assert.deepEqual(response.output.map((item) => item.type), ['message']);
  const { usage } = response;
  assert.equal(usage.total_tokens, usage.input_tokens + usage.output_tokens);
  assert.equal(response.temperature, 0);
});

test('a stream has all events in order and comes to the same', async () => {
  for (const more of [{}, ASK_WEATHER, { reasoning: { effort: 'high' } }]) {
    const whole = await create(more);
    const events = await collect(await create({ ...more, stream: true }));
    assert.deepEqual(events.map((event) => event.sequence_number), events.map((_, i) => i));
    const types = events.map((event) => event.type);
    assert.deepEqual(types.slice(0, 2), ['response.created', 'response.in_progress']);
    assert.equal(types.at(-1), 'response.completed');
    assert.deepEqual(lasting(events.at(-1).response.output), lasting(whole.output));
    for (const [index, item] of events.at(-1).response.output.entries()) {
      const own = events.filter((event) => event.output_index === index);
      assert.equal(own[0].type, 'response.output_item.added');
      assert.equal(own.at(-1).type, 'response.output_item.done');
      assert.deepEqual(own.at(-1).item, item);
      assert.ok(own.every((event) => (event.item_id ?? event.item.id) === item.id));
      const text = own.filter((event) => event.type.endsWith('.delta')).map((event) => event.delta).join('');
      assert.equal(text, item.arguments ?? item.content[0].text);
    }
  }
});

test("the SDK's own stream helper assembles the response", async () => {
  const stream = openai.responses.stream(ASK);
  const response = await stream.finalResponse();
  assert.match(response.output_text, /12/);
});

test('a tool is called, and the next turn has what it returned', async () => {
  const called = await create(ASK_WEATHER);
  const [call] = called.output;
  assert.equal(call.type, 'function_call');
  assert.equal(call.name, 'get_weather');
  assert.deepEqual(JSON.parse(call.arguments), { city: 'Paris' });
  const result = {
    type: 'function_call_output', call_id: call.call_id, output: '{"weather": "sunny", "degrees": 21}',
  };
  const followed = await create({ ...ASK_WEATHER, previous_response_id: called.id, input: [result] });
  assert.match(followed.output_text, /21/);
  assert.equal(followed.previous_response_id, called.id);
  const repeated = await create({
    ...ASK_WEATHER, input: [{ role: 'user', content: ASK_WEATHER.input }, ...called.output, result],
  });
  assert.equal(repeated.output_text, followed.output_text);
});

test('a thought is an item of its own', async () => {
  const { output, usage } = await create({ reasoning: { effort: 'high' } });
  assert.deepEqual(output.map((item) => item.type), ['reasoning', 'message']);
  assert.ok(output[0].content[0].text.trim().length > 0);
  assert.ok(usage.output_tokens_details.reasoning_tokens > 0);
});

test('a response is kept until it is deleted, unless it is not to be', async () => {
  const response = await create({ input: [{ role: 'user', content: [{ type: 'input_text', text: 'Hello' }] }] });
  const again = await openai.responses.retrieve(response.id);
  assert.deepEqual(again.output, response.output);
  const items = await openai.responses.inputItems.list(response.id);
  assert.deepEqual(items.data.map((item) => item.role), ['user']);
  await assert.rejects(openai.responses.cancel(response.id), OpenAI.BadRequestError);
  await openai.responses.delete(response.id);
  await assert.rejects(openai.responses.retrieve(response.id), OpenAI.NotFoundError);
  await assert.rejects(create({ previous_response_id: response.id }), OpenAI.NotFoundError);
  const gone = await create({ store: false });
  await assert.rejects(openai.responses.retrieve(gone.id), OpenAI.NotFoundError);
});

test('an answer that was cut is incomplete', async () => {
  const response = await create({ max_output_tokens: 1 });
  assert.equal(response.status, 'incomplete');
  assert.equal(response.incomplete_details.reason, 'max_output_tokens');
});

test('instructions are the system message of this turn alone', async () => {
  const plain = await create({ input: 'Hello' });
  const told = await create({ input: 'Hello', instructions: 'Be brief.' });
  assert.equal(told.instructions, 'Be brief.');
  assert.ok(told.usage.input_tokens > plain.usage.input_tokens);
  const counts = await openai.responses.inputTokens.count({ model: ASK.model, input: 'Hello' });
  assert.equal(counts.input_tokens, plain.usage.input_tokens);
});

test('what is not there is a BadRequestError that names it', async () => {
  for (const [more, text] of [
    [{ background: true }, 'background'], [{ tools: [{ type: 'web_search' }] }, 'tools[0]'],
    [{ input: [{ type: 'item_reference', id: 'x' }] }, 'input[0]'], [{ truncation: 'auto' }, 'truncation'],
    [{ input: [{ role: 'user', content: [{ type: 'input_image', image_url: 'x' }] }] }, 'input[0].content[0]'],
    [{ conversation: 'x' }, 'conversation']])
    await assert.rejects(create(more), (error) => {
      assert.ok(error instanceof OpenAI.BadRequestError && error.message.includes(text), `${text}: ${error.message}`);
      return true;
    });
});
