// The page's parts that need no browser: answers, requests, settings, conversations, words.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import test from 'node:test';

import { addChunk, emptyAnswer, isCalling, requestMessages, tokensPerSecond } from '../../web/answer.js';
import { Conversations } from '../../web/conversations.js';
import { DEFAULTS, loadSettings, parseTools, requestFields, saveSettings } from '../../web/settings.js';
import { Speaker, WORDS, chooseLanguage } from '../../web/words.js';

const WEB = new URL('../../web/', import.meta.url);

/** A browser's storage with room for so many characters. */
class Storage {
  #texts = new Map();
  constructor(room = Infinity) { this.room = room; }
  getItem(name) { return this.#texts.get(name) ?? null; }
  removeItem(name) { this.#texts.delete(name); }
  setItem(name, text) {
    const used = [...this.#texts].reduce((sum, [key, value]) => sum + (key === name ? 0 : value.length), 0);
    if (used + text.length > this.room) throw new Error('QuotaExceededError');
    this.#texts.set(name, text);
  }
  names() { return [...this.#texts.keys()]; }
}

const chunk = (delta, finish_reason = null) => ({ choices: [{ index: 0, delta, finish_reason }] });

// ---- Answers

test('an answer is what its chunks add up to', () => {
  const answer = emptyAnswer();
  addChunk(answer, chunk({ role: 'assistant' }), 0.5);
  addChunk(answer, chunk({ reasoning_content: 'a' }), 1);
  addChunk(answer, chunk({ reasoning: 'b' }), 3);
  addChunk(answer, chunk({ content: 'c' }), 4);
  addChunk(answer, chunk({ tool_calls: [{ index: 1, id: 'y', function: { name: 'g', arguments: '{' } }] }), 5);
  const more = [{ index: 0, id: 'x', function: { name: 'f' } }, { index: 1, function: { arguments: '}' } }];
  addChunk(answer, chunk({ tool_calls: more }), 6);
  addChunk(answer, chunk({}, 'tool_calls'), 7);
  addChunk(answer, { choices: [], usage: { completion_tokens: 11 } }, 7);
  assert.deepEqual(answer, {
    role: 'assistant', reasoning: 'ab', content: 'c', finish: 'tool_calls', error: null,
    usage: { completion_tokens: 11 },
    toolCalls: [{ id: 'x', name: 'f', arguments: '' }, { id: 'y', name: 'g', arguments: '{}' }],
    seconds: { first: 1, thinking: 3, total: 6 },
  });
  assert.equal(tokensPerSecond(answer), 2);
  assert.ok(isCalling(answer));
});

test('no chunk is too strange', () => {
  const answer = emptyAnswer();
  const calls = [null, {}, { index: 1e9 }, { index: -1 }, { index: 0.5, function: 7 }];
  for (const strange of [null, undefined, 1, 'x', {}, { choices: null }, { choices: [null] }, { choices: [{}] },
    chunk(null), chunk({ content: 7 }), chunk({ tool_calls: 'x' }), chunk({ tool_calls: calls })])
    addChunk(answer, strange, 1);
  assert.equal(answer.content + answer.reasoning, '');
  assert.ok(answer.toolCalls.length < 10);
});

test('a request says what was said, without thoughts and failures', () => {
  const call = { id: '', name: 'f', arguments: '{}' };
  const messages = [
    { role: 'user', content: 'q' },
    { ...emptyAnswer(), error: { kind: 'network' } },
    { ...emptyAnswer(), content: 'half', toolCalls: [call], finish: 'stopped' },
    { role: 'user', content: 'again' },
    { ...emptyAnswer(), reasoning: 'hm', toolCalls: [call], finish: 'tool_calls' },
    { role: 'tool', toolCallId: 'call_0', content: 'r' },
  ];
  assert.deepEqual(requestMessages('be kind', messages), [
    { role: 'system', content: 'be kind' },
    { role: 'user', content: 'q' },
    { role: 'assistant', content: 'half' },
    { role: 'user', content: 'again' },
    { role: 'assistant', content: '',
      tool_calls: [{ id: 'call_0', type: 'function', function: { name: 'f', arguments: '{}' } }] },
    { role: 'tool', tool_call_id: 'call_0', content: 'r' },
  ]);
  assert.deepEqual(requestMessages(' ', messages.slice(0, 1)), [{ role: 'user', content: 'q' }]);
});

// ---- Settings

test('settings are kept, and what is no setting is not', () => {
  const storage = new Storage();
  assert.deepEqual(loadSettings(storage), DEFAULTS);
  saveSettings(storage, { ...DEFAULTS, temperature: '0.5' });
  assert.equal(loadSettings(storage).temperature, '0.5');
  for (const strange of ['', '{', 'null', '[]', '7', '{"temperature": 1, "evil": "x"}']) {
    storage.setItem('erne.settings', strange);
    assert.deepEqual(loadSettings(storage), DEFAULTS, strange);
  }
  saveSettings(new Storage(0), DEFAULTS); // no room: no failure
});

test('a request has what was set and nothing else', () => {
  assert.deepEqual(requestFields(DEFAULTS), {});
  const numbers = { temperature: '0', top_p: ' 0.9 ', seed: '-7', max_tokens: 'x' };
  assert.deepEqual(requestFields({ ...DEFAULTS, ...numbers, thinking: 'off' }),
    { temperature: 0, top_p: 0.9, seed: -7, chat_template_kwargs: { enable_thinking: false } });
  const f = { type: 'function', function: { name: 'f' } };
  assert.deepEqual(requestFields({ ...DEFAULTS, tools: '[{"name": "f"}]', thinking: 'on' }),
    { tools: [f], chat_template_kwargs: { enable_thinking: true } });
  assert.deepEqual(parseTools(JSON.stringify([f])), [f]);
  for (const wrong of ['{', '{}', '"x"', '1']) assert.throws(() => parseTools(wrong), wrong);
});

// ---- Conversations

const said = (content) => [{ role: 'user', content }];

test('conversations are kept, newest first, and go when they are told to', () => {
  const kept = new Conversations(new Storage());
  kept.save('a', said('  one\n two '));
  kept.save('b', said('x'.repeat(100)));
  kept.save('a', said('one more'));
  assert.deepEqual(kept.list().map(({ id, title }) => [id, title]), [['a', 'one more'], ['b', 'x'.repeat(60)]]);
  assert.deepEqual(kept.messages('a'), said('one more'));
  kept.remove('a');
  assert.deepEqual(kept.list().map(({ id }) => id), ['b']);
  assert.deepEqual(kept.messages('a'), []);
});

test('the oldest conversations make room, by number and by size', () => {
  const storage = new Storage();
  const kept = new Conversations(storage);
  for (let i = 0; i < 60; ++i) kept.save(`c${i}`, said('x'));
  assert.equal(kept.list().length, 50);
  assert.equal(storage.names().length, 51);
  assert.equal(kept.list().at(-1).id, 'c10');

  const small = new Conversations(new Storage(5000));
  for (let i = 0; i < 10; ++i) assert.ok(small.save(`c${i}`, said('x'.repeat(1000))), `c${i}`);
  assert.ok(small.list().length >= 2 && small.list().length <= 4);
  for (const { id } of small.list()) assert.equal(small.messages(id).length, 1);
  assert.equal(small.save('huge', said('x'.repeat(6000))), false);
});

test('a storage that holds anything else is no conversation', () => {
  for (const strange of ['{', 'null', '{}', '[1]', '[{"role":"user"}]', '[{"role":"assistant","content":"x"}]',
    '[{"role":"x","content":"x"}]']) {
    const storage = new Storage();
    storage.setItem('erne.chats', strange);
    storage.setItem('erne.chat.a', strange);
    const kept = new Conversations(storage);
    assert.deepEqual(kept.list(), [], strange);
    assert.deepEqual(kept.messages('a'), [], strange);
  }
});

// ---- Words

test('both languages have the same words with the same values', () => {
  const valuesOf = (text) => (text.match(/\{\w+\}/g) ?? []).sort();
  assert.deepEqual(Object.keys(WORDS.zh), Object.keys(WORDS.en));
  for (const [name, text] of Object.entries(WORDS.en)) assert.deepEqual(valuesOf(WORDS.zh[name]), valuesOf(text), name);
});

test('every word of the page is there, and every word that is there is used', () => {
  const files = readdirSync(WEB).filter((name) => /\.(js|html)$/.test(name) && name !== 'words.js');
  const text = files.map((name) => readFileSync(new URL(name, WEB), 'utf8')).join('\n');
  const uses = text.matchAll(/data-word(?:-[a-z-]+)?="(\w+)"|\bword\('(\w+)'/g);
  const asked = [...uses].map((found) => found[1] ?? found[2]);
  assert.ok(asked.length > 60);
  for (const name of asked) assert.ok(Object.hasOwn(WORDS.en, name), name);
  for (const name of Object.keys(WORDS.en)) assert.match(text, new RegExp(`['"]${name}['"]`), `nobody says ${name}`);
});

test('the language is the chosen one, else the first known of the browser', () => {
  assert.equal(chooseLanguage('', ['fr', 'zh-TW', 'en']), 'zh');
  assert.equal(chooseLanguage('en', ['zh']), 'en');
  assert.equal(chooseLanguage('', ['fr']), 'en');
  const speaker = new Speaker('zh');
  assert.equal(speaker.word('thoughtFor', { seconds: 3 }), '思考了 3 秒');
});

// ---- The files themselves

const FORBIDDEN = new RegExp(['innerHTML', 'outerHTML', 'insertAdjacentHTML', 'document\\.write', 'DOMParser',
  '\\beval\\(', 'new Function', 'srcdoc', 'javascript:'].join('|'));

test('no file makes HTML of text, runs text, or names another host', () => {
  for (const name of readdirSync(WEB)) {
    const text = readFileSync(new URL(name, WEB), 'utf8').replaceAll('http://www.w3.org/2000/svg', '');
    assert.doesNotMatch(text, FORBIDDEN, name);
    assert.doesNotMatch(text, /https?:\/\/[a-z]/, name);
    assert.doesNotMatch(text, /<[^>]+ (style|on[a-z]+)="/, `${name}: the page's policy forbids it`);
  }
});
