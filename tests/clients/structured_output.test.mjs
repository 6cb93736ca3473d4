// Structured output as openai's users ask for it, from a model that knows nothing of JSON: whatever it writes
// to its end is what the schema says. Run by CTest as `node --test` (see setup).
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { ErneServer } from './erne_server.mjs';

const MODEL = 'tiny';
const SCHEMA = {
  type: 'object',
  properties: {
    city: { type: 'string', maxLength: 12 },
    population: { type: 'integer', minimum: 0, maximum: 99999999 },
    mood: { enum: ['good', 'bad', null] },
    tags: { type: 'array', items: { type: 'string', maxLength: 8 }, maxItems: 3 },
    place: { $ref: '#/$defs/place' },
  },
  required: ['city', 'population', 'mood', 'tags', 'place'],
  additionalProperties: false,
  $defs: {
    place: {
      type: 'object',
      properties: { lat: { type: 'number', minimum: -90, maximum: 90 }, known: { type: 'boolean' } },
      required: ['lat', 'known'],
      additionalProperties: false,
    },
  },
};
const PROMPTS = Array.from({ length: 50 }, (_, i) => `Tell me about city number ${i + 1}.`);

let server;
let openai;

before(async () => {
  server = await ErneServer.start('--served-model-name', MODEL, '--max-num-seqs', '16');
  openai = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0, timeout: 120_000 });
});
after(() => server?.stop());

const ask = (content, options) => openai.chat.completions.create({
  model: MODEL, messages: [{ role: 'user', content }], max_tokens: 1000, ...options });
const format = (schema) => ({ type: 'json_schema', json_schema: { name: 'city', strict: true, schema } });

function assertIsCity(text) {
  const { city, population, mood, tags, place, ...others } = JSON.parse(text);
  assert.deepEqual(others, {});
  assert.ok(typeof city === 'string' && [...city].length <= 12, text);
  assert.ok(Number.isInteger(population) && population >= 0 && population <= 99999999, text);
  assert.ok(['good', 'bad', null].includes(mood), text);
  assert.ok(Array.isArray(tags) && tags.length <= 3 && tags.every((tag) => [...tag].length <= 8), text);
  assert.deepEqual(Object.keys(place), ['lat', 'known']);
  assert.ok(Math.abs(place.lat) <= 90 && typeof place.known === 'boolean', text);
}

test('fifty answers of fifty are what the schema says', async () => {
  const replies = await Promise.all(PROMPTS.map((prompt, i) =>
    ask(prompt, { seed: i, temperature: 1, top_p: 1, response_format: format(SCHEMA) })));
  for (const { choices: [choice] } of replies) {
    assert.equal(choice.finish_reason, 'stop', choice.message.content);
    assertIsCity(choice.message.content);
  }
  assert.ok(new Set(replies.map((reply) => reply.choices[0].message.content)).size > 25);
});

test('a stream, several choices and the same seed twice give the same', async () => {
  const options = { seed: 3, n: 3, temperature: 1, response_format: format(SCHEMA) };
  const whole = await ask(PROMPTS[0], options);
  const texts = ['', '', ''];
  for await (const chunk of await ask(PROMPTS[0], { ...options, stream: true }))
    for (const choice of chunk.choices) texts[choice.index] += choice.delta.content ?? '';
  assert.deepEqual(texts, whole.choices.map((choice) => choice.message.content));
  texts.forEach(assertIsCity);
});

test('choices, expressions and grammars of FastDeploy and vLLM', async () => {
  const text = async (options) => (await ask('Say it.', { temperature: 1, ...options })).choices[0].message.content;
  assert.ok(['yes', 'no', 'perhaps'].includes(await text({ guided_choice: ['yes', 'no', 'perhaps'] })));
  assert.match(await text({ guided_regex: '[A-C]{2}-\\d{4}' }), /^[A-C]{2}-\d{4}$/);
  assert.match(await text({ structured_outputs: { grammar: 'root ::= "(" root ")" | [0-9]{2}' }, seed: 5 }), /^\(*\d\d\)*$/);
  assert.equal(typeof JSON.parse(await text({ response_format: format({ type: 'boolean' }) })), 'boolean');
});

test('a schema that cannot be served is an error with its place', async () => {
  await assert.rejects(
    ask('x', { response_format: format({ type: 'object', properties: { a: { not: {} } } }) }),
    (error) => error instanceof OpenAI.BadRequestError && error.param === 'response_format.json_schema.schema' &&
      error.message.includes('properties.a.not'));
});
