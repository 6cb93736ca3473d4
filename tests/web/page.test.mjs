// End to end: the page of the real binary in headless Chromium. Where a test needs a model to say or do a
// certain thing, scripted_server.mjs says it. Every page is watched (browser.mjs): an error on its console, as
// of its Content-Security-Policy, or a request to another host fails the test.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { ErneServer, until } from '../clients/erne_server.mjs';
import { WORDS } from '../../web/words.js';
import { WatchedPage, launchBrowser } from './browser.mjs';
import { ScriptedServer, jsonReply } from './scripted_server.mjs';

const FAILED_LOAD = /Failed to load resource/; // what Chromium says of a status above 399
const PHONE = { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true };

const MODEL = 'a-model-whose-name-is-wider-than-the-screen-of-any-phone';

let erne, scripted, browser;

before(async () => {
  [erne, browser] = await Promise.all([ErneServer.start('--served-model-name', MODEL), launchBrowser()]);
  scripted = await ScriptedServer.start(erne.url);
});
after(async () => {
  await browser?.close();
  await scripted?.stop();
  await erne?.stop();
});

const openReal = (options) => WatchedPage.open(browser, erne.url, options);
const openScripted = (options) => WatchedPage.open(browser, scripted.url, options);
const lastRequest = () => scripted.requests.at(-1);

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

for (const [how, stop] of [['the button', (page) => page.click('#stop')], ['Esc', (page) => page.keyboard.press('Escape')]])
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
    new MutationObserver(() => document.querySelector('.live .markdown')?.textContent && document.getElementById('stop').click())
      .observe(document.getElementById('log'), { childList: true, subtree: true });
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
  await on.page.getByText('Thinking… 2 s').waitFor();
  assert.equal(await on.page.getByText('Let me see.').isVisible(), false);
  goOn();
  await on.answered();
  await on.page.getByText(/^Thought for [2-9]\.\d s$/).click();
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
    reply.delta({ tool_calls: [{ index: 0, id: 'a', type: 'function', function: { name: 'weather', arguments: '' } }] });
    reply.delta({ tool_calls: [{ index: 0, function: { arguments: '{"city": ' } }] });
    await may;
    reply.delta({ tool_calls: [{ index: 0, function: { arguments: '"Oslo"}' } }] });
    reply.delta({ tool_calls: [{ index: 1, id: 'b', type: 'function', function: { name: 'weather', arguments: '{"city": "Rome"}' } }] });
    reply.end('tool_calls');
  });
  await on.ask('How is the weather?');
  await on.page.getByText('{"city":').waitFor();
  assert.equal(await on.page.locator('.call h3').innerText(), 'Calls weather');
  assert.deepEqual(lastRequest().tools, [{ type: 'function', function: { name: 'weather' } }]);
  goOn();
  await on.answered();
  assert.deepEqual(await on.page.locator('.call pre').allInnerTexts(), ['{\n  "city": "Oslo"\n}', '{\n  "city": "Rome"\n}']);
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
  await on.page.click('#open-settings');
  const values = { system: 'Be brief.', temperature: '0', top_p: '0.9', max_tokens: '3', seed: '7' };
  for (const [name, value] of Object.entries(values)) await on.page.fill(`#settings [name=${name}]`, value);
  await on.page.click('text=Done');
  await on.ask('What is 7 + 5?');
  await on.answered();
  assert.match(await on.answer().locator('.figures').innerText(), /^ended at the limit of tokens · 3 tokens/);
  await on.close();
});

// ---- Hostile text

const HOSTILE = '<script>window.hacked = 1</script><img src=x onerror="window.hacked = 1"><b>x</b>\n\n' +
  '[link](javascript:window.hacked=1) ![img](https://evil.example/a.png) <iframe src="https://evil.example">\n\n' +
  '```html\n</code></pre><script>window.hacked = 1</script>\n```\n\n| <svg onload=window.hacked=1> |\n|---|\n| <style>*{display:none}</style> |';

test("hostile text of user, model, thoughts, calls, model's name and errors stays text", async () => {
  scripted.override('/v1/models', (response) => jsonReply(response, 200, { data: [{ id: HOSTILE, max_model_len: HOSTILE }] }));
  const on = await openScripted();
  const both = async (reply) => {
    reply.delta({ reasoning_content: HOSTILE, content: HOSTILE });
    reply.delta({ tool_calls: [{ index: 0, id: HOSTILE, function: { name: HOSTILE, arguments: HOSTILE } }] });
    reply.end('tool_calls', { prompt_tokens: HOSTILE, completion_tokens: HOSTILE });
  };
  scripted.next(both);
  await on.ask(HOSTILE);
  await on.answered();
  scripted.next((reply) => reply.error(400, HOSTILE, HOSTILE, HOSTILE));
  await on.ask(HOSTILE);
  await on.answered();
  await on.page.reload();
  await on.page.waitForSelector('.answer .ending');
  scripted.override('/v1/models', null);
  assert.equal(await on.page.locator('#log :is(script, img, iframe, b, style, svg, object, embed)').count(), 0);
  const links = await on.page.locator('a').evaluateAll((made) => made.map((link) => link.href));
  assert.deepEqual(links, ['https://evil.example/a.png', 'https://evil.example/']);
  assert.equal(await on.page.evaluate(() => window.hacked), undefined);
  assert.match(await on.page.locator('.answer .markdown').first().innerText(), /<script>window.hacked = 1<\/script>/);
  await on.close(FAILED_LOAD);
});

test('the policy has the browser refuse HTML and scripts that a fault of ours might let in', async () => {
  const on = await openScripted();
  const refusal = await on.page.evaluate(() => {
    try {
      document.body.innerHTML = '<b>x</b>';
    } catch (error) {
      return error.name;
    }
    return null;
  });
  assert.equal(refusal, 'TypeError');
  await on.page.evaluate(() => {
    const image = document.createElement('img');
    image.src = 'https://evil.example/a.png';
    document.body.append(image);
  });
  await until('the image is refused', () => on.faults.some((fault) => /^console: .*evil/.test(fault)));
  await on.close(/TrustedHTML/, /^asked of another host: .*evil/, /^console: .*evil\.example.*Content Security Policy/);
});

test('a megabyte of text in one answer leaves the page alive', { timeout: 120_000 }, async () => {
  const on = await openScripted();
  scripted.next((reply) => {
    for (let i = 0; i < 64; ++i) reply.delta({ content: `${'*a* `b` [c](https://x.example) '.repeat(260)}\n\n${'> - # '.repeat(1400)}\n` });
    reply.end();
  });
  const start = Date.now();
  await on.ask('much');
  await on.page.waitForSelector('.answer .ending', { timeout: 60_000 });
  await on.page.fill('#prompt', 'still here', { timeout: 20_000 });
  assert.ok(Date.now() - start < 60_000);
  await on.close();
});

test('two hundred messages open and scroll quickly', async () => {
  const on = await openScripted();
  await on.page.evaluate(() => {
    const text = 'Some **words** and `code`.\n\n```js\nlet a = 1;\n```\n\n- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n'.repeat(4);
    const seconds = { first: 1, thinking: null, total: 2 };
    const messages = Array.from({ length: 200 }, (_, i) => i % 2
      ? { role: 'assistant', content: text, reasoning: 'hm', toolCalls: [], finish: 'stop', usage: null, seconds, error: null }
      : { role: 'user', content: `question ${i}` });
    localStorage.setItem('erne.chat.long', JSON.stringify(messages));
    localStorage.setItem('erne.chats', JSON.stringify([{ id: 'long', title: 'long', time: 1 }]));
  });
  await on.page.reload();
  const seconds = await on.page.evaluate(async () => {
    const start = performance.now();
    document.querySelector('#chat-list .chat').click();
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    return (performance.now() - start) / 1000;
  });
  assert.ok(seconds < 3, `${seconds} s to open`);
  assert.equal(await on.page.locator('.message').count(), 200);
  await on.ask('one more');
  await on.answered();
  await until('the end is in sight', () => isAtEnd(on.page));
  await on.close();
});

// ---- Errors

const ERRORS = [
  ['a full server', (reply) => reply.error(429, 'overloaded', 'too many requests'), /too many requests[^]*wait a moment/, FAILED_LOAD],
  ['a loading model', (reply) => reply.error(503, 'loading', 'the model is being loaded'), /being loaded[^]*wait a moment/, FAILED_LOAD],
  ['a long prompt', (reply) => reply.error(400, 'context_length_exceeded', '3000 tokens', 'messages'), /3000 tokens[^]*start a new chat/, FAILED_LOAD],
  ['a wrong field', (reply) => reply.error(400, 'invalid_value', 'top_p: 0 to 1', 'top_p'), /top_p: 0 to 1[^]*See the settings: top_p/, FAILED_LOAD],
  ['a failure', (reply) => reply.error(500, 'internal_error', 'the engine failed'), /the engine failed[^]*Its log says why/, FAILED_LOAD],
  ["a proxy's page", (reply) => { reply.response.writeHead(502); reply.response.end('<h1>Bad gateway</h1>'); }, /<h1>Bad gateway<\/h1>/, FAILED_LOAD],
  ['a failure half-way', (reply) => { reply.delta({ content: 'Half' }); reply.event({ error: { message: 'the engine failed', code: 'internal_error' } }); reply.response.end(); },
    /^Half[^]*The answer broke off[^]*the engine failed/],
  ['a connection that ends half-way', (reply) => { reply.delta({ content: 'Half' }); reply.response.end(); }, /^Half[^]*connection was lost/],
  ['an event that is no JSON', (reply) => { reply.event('{'); reply.response.end(); }, /connection was lost/],
];

for (const [name, answer, shown, ...faults] of ERRORS)
  test(`${name} is told, with what to do, and retry works`, async () => {
    const on = await openScripted();
    scripted.next(answer);
    await on.ask('hello');
    await on.answered();
    assert.match(await on.answer().locator(':scope > :not(h2)').allInnerTexts().then((texts) => texts.join('\n').trim()), shown);
    assert.equal(await on.page.getByRole('alert').count(), 1);
    scripted.next((reply) => reply.text('Well again.'));
    await on.press('Retry');
    await on.says('Well again.');
    assert.equal(await on.page.getByRole('alert').count(), 0);
    await on.close(...faults);
  });

test('a server that goes away is told, and one that comes back is found', async (t) => {
  const brief = await ScriptedServer.start(erne.url);
  const on = await WatchedPage.open(browser, brief.url);
  await on.page.getByText('idle').waitFor();
  await brief.stop();
  await on.ask('hello');
  await on.answered();
  assert.match(await on.page.getByRole('alert').innerText(), /cannot be reached/);
  await on.page.locator('#load').getByText('cannot be reached').waitFor();
  const back = await ScriptedServer.start(erne.url, new URL(brief.url).port);
  t.after(() => back.stop());
  await on.page.getByText('idle').waitFor();
  await on.press('Retry');
  await on.says('No script.');
  await on.close(FAILED_LOAD);
});

test('while the model is loaded the page says so, and takes no question', async () => {
  scripted.override('/v1/models', (response) => jsonReply(response, 503, { error: { message: 'the model is being loaded', code: 'loading' } }));
  const on = await openScripted();
  await on.page.getByText('The model is being loaded…').waitFor();
  await on.ask('hello');
  assert.equal(await on.page.locator('.message').count(), 0);
  scripted.override('/v1/models', null);
  await on.page.getByText('idle').waitFor();
  await on.page.press('#prompt', 'Enter');
  await on.answered();
  await on.close(FAILED_LOAD);
});

test('with --api-key the page asks for the key, and keeps it for the tab alone', async (t) => {
  const guarded = await ErneServer.start('--api-key', 'sesame');
  t.after(() => guarded.stop());
  const on = await WatchedPage.open(browser, guarded.url);
  await on.page.getByText('An API key is needed').waitFor();
  await on.page.fill('#key', 'wrong');
  await on.page.keyboard.press('Enter');
  await on.page.waitForFunction(() => document.getElementById('key-dialog').open && document.getElementById('key').value === '');
  await on.page.click('#key-dialog >> text=Cancel');
  await on.ask('What is 7 + 5?');
  await on.page.waitForSelector('#key-dialog[open]');
  assert.match(await on.answer().innerText(), /enter it, then retry/);
  await on.page.fill('#key', 'sesame');
  await on.page.keyboard.press('Enter');
  await on.says('tokens');
  assert.match(await on.answer().innerText(), /12/);
  await on.page.reload();
  await on.page.getByText('idle').waitFor();
  assert.doesNotMatch(await on.page.evaluate(() => JSON.stringify(localStorage)), /sesame/);
  await on.close(FAILED_LOAD);
});

test('--no-web: there is no page', async (t) => {
  const bare = await ErneServer.start('--no-web');
  t.after(() => bare.stop());
  for (const path of ['/', '/web/app.js']) assert.equal((await fetch(bare.url + path)).status, 404, path);
  assert.equal((await fetch(`${bare.url}/v1/models`)).status, 200);
});

// ---- People

test('Chinese for a Chinese browser, and either language by choice', async () => {
  const on = await openScripted({ locale: 'zh-CN' });
  assert.equal(await on.page.locator('html').getAttribute('lang'), 'zh');
  await on.page.getByText(WORDS.zh.welcome).waitFor();
  await on.ask('你好');
  await on.answered();
  const text = await on.page.evaluate(() => document.body.innerText);
  for (const [name, english] of Object.entries(WORDS.en))
    if (english !== WORDS.zh[name] && english.length > 4) assert.ok(!text.includes(english), `${name} is shown in English`);
  await on.page.click(`[aria-label="${WORDS.zh.settings}"]`);
  await on.page.selectOption('[name=language]', 'en');
  await on.page.keyboard.press('Escape');
  assert.equal(await on.answer().getByRole('button', { name: 'Retry' }).count(), 1);
  await on.page.reload();
  assert.equal(await on.page.locator('#new-chat').innerText(), WORDS.en.newChat);
  await on.close();
});

async function isAtEnd(page) {
  return page.evaluate(() => {
    const { scrollTop, scrollHeight, clientHeight } = document.getElementById('scroller');
    return scrollHeight - clientHeight - scrollTop < 5;
  });
}

test('on a phone nothing is wider than the screen, long code scrolls, and the menu folds', async () => {
  const on = await openScripted(PHONE);
  scripted.next((reply) => reply.text(`${'long'.repeat(100)}\n\n\`${'code'.repeat(100)}\`\n\n\`\`\`\n${'wide '.repeat(100)}\n\`\`\`\n\n` +
    `|${' column |'.repeat(12)}\n|${'---|'.repeat(12)}\n|${' cell |'.repeat(12)}\n\n- https://x.example/${'path'.repeat(60)}`));
  await on.ask('wide'.repeat(50));
  await on.answered();
  const sizes = () => on.page.evaluate(() => [document.documentElement.scrollWidth, document.getElementById('scroller').scrollWidth]);
  assert.deepEqual(await sizes(), [360, 360]);
  assert.ok(await on.page.locator('.code pre').evaluate((made) => made.scrollWidth > made.clientWidth));
  assert.equal(await on.page.locator('#chats').isVisible(), false);
  await on.page.click('#menu');
  assert.equal(await on.page.locator('#chat-list .chat').isVisible(), true);
  await on.page.mouse.click(350, 400);
  assert.equal(await on.page.locator('#chats').isVisible(), false);
  await on.page.click('#open-settings');
  assert.deepEqual(await sizes(), [360, 360]);
  const dialog = await on.page.locator('#settings').boundingBox();
  assert.ok(dialog.x >= 0 && dialog.x + dialog.width <= 360 && dialog.y >= 0 && dialog.y + dialog.height <= 740);
  for (const box of await on.page.locator('button.icon:visible').evaluateAll((made) => made.map((button) => button.getBoundingClientRect().toJSON())))
    assert.ok(box.width >= 32 && box.height >= 32, 'large enough for a finger');
  await on.close();
});

test('all of it by the keyboard alone', async () => {
  const on = await openScripted();
  const { keyboard } = on.page;
  const focused = () => on.page.evaluate(() => document.activeElement.id || document.activeElement.textContent);
  assert.equal(await focused(), 'prompt');
  await keyboard.type('one');
  await keyboard.press('Shift+Enter');
  await keyboard.type('two');
  scripted.next((reply) => reply.text('See [this](https://x.example).\n\n```\ncode\n```'));
  await keyboard.press('Enter');
  await on.answered();
  assert.equal(lastRequest().messages[0].content, 'one\ntwo');
  assert.equal(await focused(), 'prompt');
  const order = [];
  for (let i = 0; i < 40 && order.at(-1) !== 'prompt'; ++i) {
    await keyboard.press('Shift+Tab');
    order.push(await focused());
  }
  const wanted = ['Retry', 'Copy', 'this', 'Edit', 'open-settings', 'new-chat'];
  const places = wanted.map((name) => order.indexOf(name));
  assert.ok(places.every((place) => place >= 0), `${order}`);
  assert.deepEqual(places.toSorted?.((a, b) => a - b) ?? places, places, `${order}`);
  await on.page.focus('#open-settings');
  await keyboard.press('Enter');
  assert.equal(await on.page.locator('#settings').isVisible(), true);
  await keyboard.press('Escape');
  assert.equal(await on.page.locator('#settings').isVisible(), false);
  assert.equal(await focused(), 'open-settings');
  await on.close();
});

test('Enter that ends the composing of a character sends nothing', async () => {
  const on = await openScripted({ locale: 'zh-CN' });
  await on.page.fill('#prompt', '你好');
  await on.page.evaluate(() => {
    const send = (options) => document.getElementById('prompt').dispatchEvent(
      new KeyboardEvent('keydown', { key: 'Enter', bubbles: true, cancelable: true, ...options }));
    send({ isComposing: true });
    send({ keyCode: 229 });
  });
  assert.equal(await on.page.locator('.message').count(), 0);
  await on.page.press('#prompt', 'Enter');
  await on.answered();
  await on.close();
});

test('begin and end of an answer are announced, once each', async () => {
  const on = await openScripted();
  await on.page.evaluate(() => {
    window.said = [];
    new MutationObserver(() => window.said.push(document.getElementById('announcement').textContent))
      .observe(document.getElementById('announcement'), { childList: true });
  });
  scripted.next(async (reply) => {
    for (const word of ['a ', 'b ', 'c']) {
      reply.delta({ content: word });
      await sleep(50);
    }
    reply.end();
  });
  await on.ask('hello');
  await on.answered();
  assert.deepEqual(await on.page.evaluate(() => window.said), [WORDS.en.answerBegins, 'Answer: a b c']);
  await on.close();
});

test('the end stays in sight while an answer grows, unless the user has left it', async () => {
  const on = await openScripted();
  const steps = [];
  scripted.next(async (reply) => {
    for (let part = 0; part < 3; ++part) {
      reply.delta({ content: `part ${part}\n\n${'line\n\n'.repeat(40)}end of ${part}\n\n` });
      await new Promise((resolve) => steps.push(resolve));
    }
    reply.end();
  });
  await on.ask('much');
  await on.says('end of 0');
  await until('the end is in sight', () => isAtEnd(on.page));
  await on.page.mouse.move(600, 400);
  await on.page.mouse.wheel(0, -500);
  await on.page.waitForSelector('#to-end:not([hidden])');
  const before = await on.page.locator('#scroller').evaluate((made) => made.scrollTop);
  steps.shift()();
  await on.says('end of 1');
  await sleep(300);
  assert.equal(await on.page.locator('#scroller').evaluate((made) => made.scrollTop), before);
  await on.page.click('#to-end');
  steps.shift()();
  await on.says('end of 2');
  await until('the end is in sight', () => isAtEnd(on.page));
  steps.shift()();
  await on.answered();
  await on.close();
});

test('an answer, a message and code are copied as they are', async () => {
  const on = await openScripted();
  const text = 'Some **text**\n\n```js\nlet a;\n```';
  scripted.next((reply) => reply.text(text));
  await on.ask('a *question*');
  await on.answered();
  const copied = async (button) => {
    await button.click();
    await button.page().getByText('Copied').waitFor();
    const [, value] = [await button.page().waitForTimeout(50), await on.page.evaluate(() => navigator.clipboard.readText())];
    await on.page.waitForFunction(() => !document.body.innerText.includes('Copied'));
    return value;
  };
  assert.equal(await copied(on.page.locator('.answer .actions').getByText('Copy')), text);
  assert.equal(await copied(on.page.locator('.user .actions').getByText('Copy')), 'a *question*');
  assert.equal(await copied(on.page.locator('.code').getByText('Copy')), 'let a;');
  await on.close();
});
