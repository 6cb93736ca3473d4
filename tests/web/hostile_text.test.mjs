// Whatever a model, a user or a server writes stays text, and however much it is the page stays alive.
import assert from 'node:assert/strict';
import test from 'node:test';

import { until } from '../clients/erne_server.mjs';
import { jsonReply } from './scripted_server.mjs';
import { FAILED_LOAD, openScripted, scripted } from './stage.mjs';

const HOSTILE = '<script>window.hacked = 1</script><img src=x onerror="window.hacked = 1"><b>x</b>\n\n' +
  '`x` [link](javascript:window.hacked=1) ![img](https://evil.example/a.png) <iframe src="https://evil.example">\n\n' +
  '```html\n</code></pre><script>window.hacked = 1</script>\n```\n\n' +
  '| <svg onload=window.hacked=1> |\n|---|\n| <style>*{display:none}</style> |';

test("hostile text of user, model, thoughts, calls, model's name and errors stays text", async () => {
  const models = { data: [{ id: HOSTILE, max_model_len: HOSTILE }] };
  scripted.override('/v1/models', (response) => jsonReply(response, 200, models));
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
  const piece = `${'*a* `b` [c](https://x.example) '.repeat(260)}\n\n${'> - # '.repeat(1400)}\n`;
  scripted.next((reply) => {
    for (let i = 0; i < 64; ++i) reply.delta({ content: piece });
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
    const text = ['Some **words** and `code`.', '```js\nlet a = 1;\n```', '- one\n- two', '| a | b |\n|---|---|\n| 1 | 2 |'];
    const answer = {
      role: 'assistant', content: Array(4).fill(text).flat().join('\n\n'), reasoning: 'hm', toolCalls: [], finish: 'stop',
      usage: null, seconds: { first: 1, thinking: null, total: 2 }, error: null,
    };
    const messages = Array.from({ length: 200 }, (_, i) => i % 2 ? answer : { role: 'user', content: `question ${i}` });
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
  assert.ok(seconds < 5, `${seconds} s to open`);
  assert.equal(await on.page.locator('.message').count(), 200);
  await on.ask('one more');
  await on.answered();
  await until('the end is in sight', () => on.isAtEnd());
  await on.close();
});
