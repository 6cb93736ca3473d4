// What goes wrong is told, with what to do about it: refusals, broken streams, a server that is away, loading or
// asks for a key.
import assert from 'node:assert/strict';
import test from 'node:test';

import { ErneServer } from '../clients/erne_server.mjs';
import { WatchedPage } from './browser.mjs';
import { ScriptedServer, jsonReply } from './scripted_server.mjs';
import { FAILED_LOAD, browser, erne, openScripted, scripted } from './stage.mjs';

const half = (reply) => reply.delta({ content: 'Half' });

// What happens, the answer, what the page says, and whether the browser's console says something, too.
const ERRORS = [
  ['a full server', (reply) => reply.error(429, 'overloaded', 'too many requests'),
    /too many requests[^]*wait a moment/, FAILED_LOAD],
  ['a loading model', (reply) => reply.error(503, 'loading', 'the model is being loaded'),
    /being loaded[^]*still being loaded/, FAILED_LOAD],
  ['a long prompt', (reply) => reply.error(400, 'context_length_exceeded', '3000 tokens', 'messages'),
    /3000 tokens[^]*start a new chat/, FAILED_LOAD],
  ['a wrong field', (reply) => reply.error(400, 'invalid_value', 'top_p: 0 to 1', 'top_p'),
    /top_p: 0 to 1[^]*See the settings: top_p/, FAILED_LOAD],
  ['a failure', (reply) => reply.error(500, 'internal_error', 'the engine failed'),
    /the engine failed[^]*Its log says why/, FAILED_LOAD],
  ["a proxy's page", (reply) => reply.whole(502, '<h1>Bad gateway</h1>'), /<h1>Bad gateway<\/h1>/, FAILED_LOAD],
  ['a failure half-way', (reply) => {
    half(reply);
    reply.event({ error: { message: 'the engine failed', code: 'internal_error' } });
    reply.close();
  }, /^Half[^]*The answer broke off[^]*the engine failed/],
  ['a connection that ends half-way', (reply) => {
    half(reply);
    reply.close();
  }, /^Half[^]*connection was lost/],
  ['a connection that breaks half-way', (reply) => {
    half(reply);
    setTimeout(() => reply.cut(), 200);
  }, /^Half[^]*connection was lost/, FAILED_LOAD],
  ['an event that is no JSON', (reply) => {
    reply.event('{');
    reply.close();
  }, /connection was lost/],
];

for (const [name, answer, shown, ...faults] of ERRORS)
  test(`${name} is told, with what to do, and retry works`, async () => {
    const on = await openScripted();
    scripted.next(answer);
    await on.ask('hello');
    await on.answered();
    const parts = await on.answer().locator(':scope > :not(h2)').allInnerTexts();
    assert.match(parts.join('\n').trim(), shown);
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
  const loading = { error: { message: 'the model is being loaded', code: 'loading' } };
  scripted.override('/v1/models', (response) => jsonReply(response, 503, loading));
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
  await on.page.waitForFunction(() => document.querySelector('#key-dialog[open] #key')?.value === '');
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
