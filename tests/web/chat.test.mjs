// A conversation from end to end: the page of the real binary in headless Chromium.
import assert from 'node:assert/strict';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { until } from '../clients/erne_server.mjs';
import { MODEL, erne, lastRequest, openReal, openScripted, scripted } from './stage.mjs';

test('a question is answered by the model, and both are there after a reload', async () => {
  const on = await openReal();
  await on.ask('What is 7 + 5?');
  await on.answered();
  assert.match(await on.answer().innerText(), /12/);
  assert.match(await on.answer().locator('.figures').innerText(), /\d+ tokens.*first after \d.*prompt \d+/);
  assert.equal(await on.page.locator('#model').innerText(), MODEL);
  await on.page.waitForFunction(() => /^context 2,048 · idle$/.test(document.getElementById('load').textContent));
  await on.page.reload();
  await on.page.waitForSelector('.answer .ending');
  assert.match(await on.page.locator('#log').innerText(), /What is 7 \+ 5\?[^]*12/);
  await on.page.click('#new-chat');
  assert.equal(await on.page.locator('.message').count(), 0);
  await on.page.click('text=What is 7 + 5?');
  assert.equal(await on.page.locator('.message').count(), 2);
  on.page.on('dialog', (dialog) => dialog.accept());
  await on.page.click('[aria-label="Delete “What is 7 + 5?”"]');
  assert.equal(await on.page.locator('.message, #chat-list li').count(), 0);
  await on.close();
});

test('what was said before goes along, and retry asks again', async () => {
  const on = await openScripted();
  scripted.next((reply) => reply.text('One.'));
  await on.ask('first');
  await on.answered();
  scripted.next((reply) => reply.text('Two.'));
  await on.ask('second');
  await on.answered();
  const asked = lastRequest();
  assert.deepEqual(asked.messages.map(({ role, content }) => [role, content]),
    [['user', 'first'], ['assistant', 'One.'], ['user', 'second']]);
  scripted.next((reply) => reply.text('Two again.'));
  await on.press('Retry');
  await on.says('Two again.');
  assert.deepEqual(lastRequest(), asked);
  assert.equal(await on.page.locator('.message').count(), 4);
  await on.close();
});

test('an earlier message can be edited: the conversation goes on from there', async () => {
  const on = await openScripted();
  for (const text of ['first', 'second']) {
    await on.ask(text);
    await on.answered();
  }
  await on.page.locator('.user').first().getByRole('button', { name: 'Edit' }).click();
  await on.page.keyboard.press('Escape');
  assert.equal(await on.page.locator('.message').count(), 4);
  await on.page.locator('.user').first().getByRole('button', { name: 'Edit' }).click();
  await on.page.fill('.editor textarea', 'other');
  scripted.next((reply) => reply.text('Changed.'));
  await on.page.keyboard.press('Enter');
  await on.says('Changed.');
  assert.deepEqual(lastRequest().messages, [{ role: 'user', content: 'other' }]);
  assert.equal(await on.page.locator('.message').count(), 2);
  await on.close();
});

/** An answer that goes on until the client leaves. */
async function endless(reply) {
  for (let i = 0; !reply.isGone && i < 2000; ++i) {
    reply.delta({ content: `word ${i} ` });
    await sleep(10);
  }
  endless.ended = reply.isGone;
}

const WAYS_TO_STOP = [['the button', (page) => page.click('#stop')], ['Esc', (page) => page.keyboard.press('Escape')]];

for (const [how, stop] of WAYS_TO_STOP)
  test(`${how} stops an answer, here and in the server`, async () => {
    const on = await openScripted();
    endless.ended = false;
    scripted.next(endless);
    await on.ask('go on');
    await on.says('word 5');
    await stop(on.page);
    await on.answered();
    assert.match(await on.answer().locator('.figures').innerText(), /^stopped/);
    await until('the server hears of it', () => endless.ended);
    const text = await on.answer().innerText();
    await sleep(200);
    assert.equal(await on.answer().innerText(), text);
    await on.ask('and now?'); // all is well
    await on.answered();
    assert.match(lastRequest().messages[1].content, /^word 0 /);
    await on.close();
  });

test('the real server ends the computation for a page that stops', async () => {
  const MANY = 1900;
  const generated = () => erne.metric('fastdeploy:generation_tokens_total');
  const before = await generated();
  const on = await openScripted();
  await on.page.evaluate(() => { // at the first word, however quick the model is
    const stop = () => document.querySelector('.live .markdown')?.textContent && document.getElementById('stop').click();
    new MutationObserver(stop).observe(document.getElementById('log'), { childList: true, subtree: true });
  });
  scripted.nextReal({ ignore_eos: true, max_tokens: MANY });
  await on.ask('Tell me a story.');
  await on.answered();
  assert.match(await on.answer().locator('.figures').innerText(), /^stopped/);
  await until('no request running', async () => (await erne.metric('fastdeploy:num_requests_running')) === 0);
  assert.ok((await generated()) - before < MANY, 'it went on to the end');
  await on.close();
});

test('thoughts are folded, tell how long they last, and are not said again', async () => {
  const on = await openScripted();
  let goOn;
  const may = new Promise((resolve) => { goOn = resolve; });
  scripted.next(async (reply) => {
    reply.delta({ reasoning_content: 'Let me see. ' });
    await may;
    reply.delta({ reasoning_content: 'It is four.' });
    reply.delta({ content: 'Four.' });
    reply.end();
  });
  await on.ask('What is 2 + 2?');
  await on.page.getByText(/^Thinking… ([2-9]|\d{2,}) s$/).waitFor();
  assert.equal(await on.page.getByText('Let me see.').isVisible(), false);
  goOn();
  await on.answered();
  await on.page.getByText(/^Thought for [1-9]\d*\.\d s$/).click();
  assert.equal(await on.page.getByText('Let me see. It is four.').isVisible(), true);
  assert.equal(await on.page.locator('.answer .markdown').innerText(), 'Four.');
  await on.ask('And 3 + 3?');
  await on.answered();
  assert.doesNotMatch(JSON.stringify(lastRequest()), /Let me see/);
  await on.close();
});

test('tool calls come piece by piece, and their results go back', async () => {
  const on = await openScripted();
  await on.page.click('#open-settings');
  await on.page.fill('[name=tools]', '[{"name": "weather"');
  await on.page.click('text=Done');
  assert.ok(await on.page.locator('#settings').isVisible(), 'no JSON: the dialog stays');
  await on.page.fill('[name=tools]', '[{"name": "weather"}]');
  await on.page.click('text=Done');
  let goOn;
  const may = new Promise((resolve) => { goOn = resolve; });
  scripted.next(async (reply) => {
    const begin = (index, id) => reply.delta({ tool_calls: [{ index, id, type: 'function', function: { name: 'weather' } }] });
    const goOnWith = (index, text) => reply.delta({ tool_calls: [{ index, function: { arguments: text } }] });
    begin(0, 'a');
    goOnWith(0, '{"city": ');
    await may;
    goOnWith(0, '"Oslo"}');
    begin(1, 'b');
    goOnWith(1, '{"city": "Rome"}');
    reply.end('tool_calls');
  });
  await on.ask('How is the weather?');
  await on.page.getByText('{"city":').waitFor();
  assert.equal(await on.page.locator('.call h3').innerText(), 'Calls weather');
  assert.deepEqual(lastRequest().tools, [{ type: 'function', function: { name: 'weather' } }]);
  goOn();
  await on.answered();
  const shown = await on.page.locator('.call pre').allInnerTexts();
  assert.deepEqual(shown, ['{\n  "city": "Oslo"\n}', '{\n  "city": "Rome"\n}']);
  await on.page.locator('.editor textarea').nth(0).fill('rain');
  await on.page.locator('.editor textarea').nth(1).fill('sun');
  scripted.next((reply) => reply.text('Rain in Oslo, sun in Rome.'));
  await on.press('Send results');
  await on.says('Rain in Oslo');
  assert.deepEqual(lastRequest().messages.slice(1), [
    { role: 'assistant', content: '', tool_calls: [
      { id: 'a', type: 'function', function: { name: 'weather', arguments: '{"city": "Oslo"}' } },
      { id: 'b', type: 'function', function: { name: 'weather', arguments: '{"city": "Rome"}' } }] },
    { role: 'tool', tool_call_id: 'a', content: 'rain' },
    { role: 'tool', tool_call_id: 'b', content: 'sun' },
  ]);
  assert.equal(await on.page.locator('.editor').count(), 0);
  await on.close();
});

async function set(on, values) {
  await on.page.click('#open-settings');
  for (const [name, value] of Object.entries(values)) await on.page.fill(`#settings [name=${name}]`, value);
  await on.page.click('text=Done');
}

test('a real thought is folded', async () => {
  const on = await openReal();
  await on.page.click('#open-settings');
  await on.page.selectOption('[name=thinking]', 'on');
  await on.page.click('text=Done');
  await set(on, { temperature: '0' });
  await on.ask('What is 27 + 15?');
  await on.answered();
  await on.page.getByText(/^Thought for/).click();
  assert.match(await on.page.locator('.thoughts .text').innerText(), /\w/);
  assert.match(await on.page.locator('.answer .markdown').innerText(), /^27 \+ 15 = 42$/);
  await on.close();
});

test('a real call of a tool is shown, and answered from its result', async () => {
  const on = await openReal();
  const parameters = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
  const tools = JSON.stringify([{ name: 'get_weather', description: 'The weather of a city', parameters }]);
  await set(on, { temperature: '0', tools });
  await on.ask('What is the weather in Paris?');
  await on.answered();
  assert.equal(await on.page.locator('.call h3').innerText(), 'Calls get_weather');
  assert.deepEqual(JSON.parse(await on.page.locator('.call pre').innerText()), { city: 'Paris' });
  await on.page.fill('.editor textarea', '{"weather": "sunny", "degrees": 21}');
  await on.press('Send results');
  await on.answered();
  assert.match(await on.page.locator('.answer .markdown').last().innerText(), /Paris.*21/);
  await on.close();
});

test('settings are kept and go into the request', async () => {
  const on = await openScripted();
  await on.page.click('#open-settings');
  const values = { system: 'Be brief.', temperature: '0.5', top_p: '0.9', max_tokens: '99', seed: '7' };
  for (const [name, value] of Object.entries(values)) await on.page.fill(`#settings [name=${name}]`, value);
  await on.page.selectOption('[name=thinking]', 'on');
  await on.page.click('text=Done');
  await on.page.reload();
  await on.ask('hello');
  await on.answered();
  assert.deepEqual(lastRequest(), {
    model: 'default', stream: true, stream_options: { include_usage: true },
    messages: [{ role: 'system', content: 'Be brief.' }, { role: 'user', content: 'hello' }],
    temperature: 0.5, top_p: 0.9, max_tokens: 99, seed: 7, chat_template_kwargs: { enable_thinking: true },
  });
  await on.close();
});

test('the real server takes the settings', async () => {
  const on = await openReal();
  await set(on, { system: 'Be brief.', temperature: '0', top_p: '0.9', max_tokens: '3', seed: '7' });
  await on.ask('What is 7 + 5?');
  await on.answered();
  assert.match(await on.answer().locator('.figures').innerText(), /^ended at the limit of tokens · 3 tokens/);
  await on.close();
});
