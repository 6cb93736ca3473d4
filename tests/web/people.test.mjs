// For whom the page is: both languages, phones, the keyboard, those who listen, those who read back.
import assert from 'node:assert/strict';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { WORDS } from '../../web/words.js';
import { until } from '../clients/erne_server.mjs';
import { lastRequest, openScripted, scripted } from './stage.mjs';

const PHONE = { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true };

test('Chinese for a Chinese browser, and either language by choice', async () => {
  const on = await openScripted({ locale: 'zh-CN' });
  assert.equal(await on.page.locator('html').getAttribute('lang'), 'zh');
  await on.page.getByText(WORDS.zh.welcome).waitFor();
  await on.ask('你好');
  await on.answered();
  const text = await on.page.evaluate(() => document.body.innerText);
  for (const [name, english] of Object.entries(WORDS.en)) {
    const tells = english !== WORDS.zh[name] && english.length > 4;
    assert.ok(!tells || !text.includes(english), `${name} is shown in English`);
  }
  await on.page.click(`[aria-label="${WORDS.zh.settings}"]`);
  await on.page.selectOption('[name=language]', 'en');
  await on.page.keyboard.press('Escape');
  await on.answer().getByRole('button', { name: 'Retry' }).waitFor(); // behind a dialog that is still closing
  await on.page.reload();
  assert.equal(await on.page.locator('#new-chat').innerText(), WORDS.en.newChat);
  await on.close();
});

test('on a phone nothing is wider than the screen, long code scrolls, and the menu folds', async () => {
  const on = await openScripted(PHONE);
  const wide = [
    'long'.repeat(100), `\`${'code'.repeat(100)}\``, `\`\`\`\n${'wide '.repeat(100)}\n\`\`\``,
    `|${' column |'.repeat(12)}\n|${'---|'.repeat(12)}\n|${' cell |'.repeat(12)}`, `- https://x.example/${'path'.repeat(60)}`];
  scripted.next((reply) => reply.text(wide.join('\n\n')));
  await on.ask('wide'.repeat(50));
  await on.answered();
  const sizes = () => on.page.evaluate(
    () => [document.documentElement.scrollWidth, document.getElementById('scroller').scrollWidth]);
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
  for (const button of await on.page.locator('button.icon:visible').all()) {
    const { width, height } = await button.boundingBox();
    assert.ok(width >= 32 && height >= 32, 'large enough for a finger');
  }
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
  await until('the end is in sight', () => on.isAtEnd());
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
  await until('the end is in sight', () => on.isAtEnd());
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
    await on.page.getByText('Copied').waitFor();
    await on.page.waitForFunction(() => !document.body.innerText.includes('Copied'));
    return on.page.evaluate(() => navigator.clipboard.readText());
  };
  assert.equal(await copied(on.page.locator('.answer .actions').getByText('Copy')), text);
  assert.equal(await copied(on.page.locator('.user .actions').getByText('Copy')), 'a *question*');
  assert.equal(await copied(on.page.locator('.code').getByText('Copy')), 'let a;');
  await on.close();
});
