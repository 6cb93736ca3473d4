// What tests in the browser share: the real server, a scripted one before it, and Chromium, from the first test
// of a file to its last. Where a test needs a model to say or do a certain thing, scripted_server.mjs says it.
// Every page is watched (browser.mjs): an error on its console, as of its Content-Security-Policy, or a request
// to another host fails the test.
import { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';

import { ErneServer } from '../clients/erne_server.mjs';
import { WatchedPage, launchBrowser } from './browser.mjs';
import { ScriptedServer } from './scripted_server.mjs';

const FOLDER = fileURLToPath(new URL('../../models/erne-tiny-moe', import.meta.url)); // it thinks and calls tools
export const MODEL = 'a-model-whose-name-is-wider-than-the-screen-of-any-phone';
export const FAILED_LOAD = /Failed to load resource/; // what Chromium says of a status above 399

export let erne, scripted, browser;

before(async () => {
  [erne, browser] = await Promise.all([ErneServer.startModel(FOLDER, '--served-model-name', MODEL), launchBrowser()]);
  scripted = await ScriptedServer.start(erne.url);
});
after(async () => {
  await browser?.close();
  await scripted?.stop();
  await erne?.stop();
});

export const openReal = (options) => WatchedPage.open(browser, erne.url, options);
export const openScripted = (options) => WatchedPage.open(browser, scripted.url, options);
export const lastRequest = () => scripted.requests.at(-1);
