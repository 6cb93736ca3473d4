// The npm package `@anthropic-ai/sdk`, unmodified, against erne.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import Anthropic from '@anthropic-ai/sdk';
import { ErneServer } from './erne_server.mjs';

const MODEL = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../models/erne-tiny-moe');
const KEY = 'secret';
const WEATHER = {
  name: 'get_weather',
  description: 'The weather of a city',
  input_schema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
};
const ASK = {
  model: 'erne-tiny-moe', max_tokens: 200, temperature: 0, messages: [{ role: 'user', content: 'What is 7 + 5?' }],
};
const ASK_WEATHER = { ...ASK, tools: [WEATHER], messages: [{ role: 'user', content: 'What is the weather in Paris?' }] };

let server;
let anthropic;

before(async () => {
  server = await ErneServer.startModel(MODEL, '--served-model-name', ASK.model, '--api-key', KEY);
  anthropic = clientWith(KEY);
});
after(() => server?.stop());

function clientWith(apiKey) {
  return new Anthropic({ baseURL: server.url, apiKey, authToken: null, maxRetries: 0, timeout: 60_000 });
}

const withoutIds = (content) => content.map((block) => ({ ...block, id: undefined }));

test('a message', async () => {
  const message = await anthropic.messages.create(ASK);
  assert.match(message.id, /^msg_/);
  assert.equal(message.type, 'message');
  assert.equal(message.role, 'assistant');
  assert.equal(message.stop_reason, 'end_turn');
  assert.equal(message.content.length, 1);
  assert.equal(message.content[0].type, 'text');
  assert.match(message.content[0].text, /12/);
  assert.ok(message.usage.input_tokens + message.usage.cache_read_input_tokens > 0);
  assert.ok(message.usage.output_tokens > 0);
});

test('a streamed message is the same', async () => {
  for (const ask of [ASK, ASK_WEATHER, { ...ASK, thinking: { type: 'enabled' } }]) {
    const whole = await anthropic.messages.create(ask);
    const events = [];
    const stream = anthropic.messages.stream(ask).on('streamEvent', (event) => events.push(event.type));
    const message = await stream.finalMessage();
    assert.deepEqual(withoutIds(message.content), withoutIds(whole.content));
    assert.equal(message.stop_reason, whole.stop_reason);
    assert.equal(message.usage.output_tokens, whole.usage.output_tokens);
    assert.equal(events[0], 'message_start');
    assert.deepEqual(events.slice(-2), ['message_delta', 'message_stop']);
    const count = (type) => events.filter((event) => event === type).length;
    assert.equal(count('content_block_start'), message.content.length);
    assert.equal(count('content_block_stop'), message.content.length);
  }
});

test('a system prompt is a string or a list of blocks', async () => {
  const texts = await Promise.all(['Be brief.', [{ type: 'text', text: 'Be ' }, { type: 'text', text: 'brief.' }]]
    .map((system) => anthropic.messages.create({ ...ASK, system })));
  assert.deepEqual(texts[0].content, texts[1].content);
});

test('a tool is called, and what it returned is answered from', async () => {
  const called = await anthropic.messages.create(ASK_WEATHER);
  assert.equal(called.stop_reason, 'tool_use');
  const [call] = called.content;
  assert.equal(call.type, 'tool_use');
  assert.equal(call.name, 'get_weather');
  assert.deepEqual(call.input, { city: 'Paris' });
  const answer = await anthropic.messages.create({
    ...ASK_WEATHER,
    messages: [
      ...ASK_WEATHER.messages,
      { role: 'assistant', content: called.content },
      {
        role: 'user',
        content: [{
          type: 'tool_result', tool_use_id: call.id, content: [{ type: 'text', text: '{"weather": "sunny", "degrees": 21}' }],
        }],
      },
    ],
  });
  assert.equal(answer.stop_reason, 'end_turn');
  assert.match(answer.content[0].text, /21/);
});

test('a thought is a block of its own', async () => {
  const { content } = await anthropic.messages.create({ ...ASK, thinking: { type: 'enabled' } });
  assert.deepEqual(content.map((block) => block.type), ['thinking', 'text']);
  assert.ok(content[0].thinking.trim().length > 0);
});

test('max_tokens and stop sequences end a message, which says so', async () => {
  const cut = await anthropic.messages.create({ ...ASK, max_tokens: 1 });
  assert.equal(cut.stop_reason, 'max_tokens');
  assert.equal(cut.usage.output_tokens, 1);
  const stopped = await anthropic.messages.create({ ...ASK, stop_sequences: ['2', 'x'] });
  assert.equal(stopped.stop_reason, 'stop_sequence');
  assert.equal(stopped.stop_sequence, '2');
});

test('tokens are counted without computing any', async () => {
  const { input_tokens: counted } = await anthropic.messages.countTokens({ model: ASK.model, messages: ASK.messages });
  const { usage } = await anthropic.messages.create(ASK);
  assert.equal(counted, usage.input_tokens + usage.cache_read_input_tokens);
});

test('errors are of the type that clients expect', async (t) => {
  const cases = [
    [Anthropic.BadRequestError, 'max_tokens', { ...ASK, max_tokens: undefined }],
    [Anthropic.BadRequestError, 'messages[0].role', { ...ASK, messages: [{ role: 'king', content: 'x' }] }],
    [Anthropic.BadRequestError, 'messages[0].content[0]',
      { ...ASK, messages: [{ role: 'user', content: [{ type: 'image', source: {} }] }] }],
    [Anthropic.BadRequestError, 'unknown field "mcp_servers"', { ...ASK, mcp_servers: [] }],
    [Anthropic.BadRequestError, 'tools[0]', { ...ASK, tools: [{ type: 'web_search_20250305', name: 'web_search' }] }],
    [Anthropic.NotFoundError, 'does not exist', { ...ASK, model: 'other' }],
  ];
  for (const [type, text, body] of cases)
    await t.test(text, () => assert.rejects(anthropic.messages.create(body), (error) => {
      assert.ok(error instanceof type, error);
      assert.equal(error.error.type, 'error');
      assert.ok(error.error.error.message.includes(text), error.error.error.message);
      return true;
    }));
  await t.test('a wrong key', () =>
    assert.rejects(clientWith('wrong').messages.create(ASK), Anthropic.AuthenticationError));
});
