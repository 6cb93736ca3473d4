// Headless Chromium, and pages of it that are watched: whatever a page says on its console, throws, or asks
// of another host is a failure of the test that opened it.
import assert from 'node:assert/strict';

import { chromium } from 'playwright-core';

const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium';

export async function launchBrowser() {
  return chromium.launch({ executablePath: EXECUTABLE, args: ['--no-sandbox', '--disable-gpu'] });
}

/** A page of its own (storage, language, size) at `url`. `faults`: of watching it so far. */
export class WatchedPage {
  faults = [];

  static async open(browser, url, options = {}) {
    const watched = new WatchedPage();
    watched.context = await browser.newContext({
      locale: 'en-US', viewport: { width: 1100, height: 800 }, permissions: ['clipboard-read', 'clipboard-write'],
      ...options,
    });
    watched.page = await watched.context.newPage();
    watched.page.setDefaultTimeout(20_000);
    watched.#watch(new URL(url).origin);
    await watched.page.goto(url);
    return watched;
  }

  #watch(origin) {
    this.page.on('console', (message) => this.faults.push(`console: ${message.text()}`));
    this.page.on('pageerror', (error) => this.faults.push(`thrown: ${error.message}`));
    this.page.on('request', (request) => {
      if (new URL(request.url()).origin !== origin) this.faults.push(`asked of another host: ${request.url()}`);
    });
  }

  /** Ends the page. `expected`: patterns of faults that the test provokes; each must have come. */
  async close(...expected) {
    await this.context.close();
    for (const pattern of expected)
      assert.ok(this.faults.some((fault) => pattern.test(fault)), `${pattern} did not come: ${this.faults}`);
    assert.deepEqual(this.faults.filter((fault) => !expected.some((pattern) => pattern.test(fault))), []);
  }

  // ---- What the tests do and see again and again

  async ask(text) {
    await this.page.fill('#prompt', text);
    await this.page.press('#prompt', 'Enter');
  }

  /** Waits for the answer's end. */
  async answered() {
    await this.page.waitForSelector('#send:not([hidden])');
    await this.page.waitForSelector('.answer:last-child .ending');
  }

  /** Waits until the conversation shows the text. */
  async says(text) {
    await this.page.locator('#log').getByText(text).first().waitFor({ state: 'attached' });
  }

  /** Presses the last button of that name. */
  async press(name) {
    await this.page.getByRole('button', { name, exact: true }).last().click();
  }

  answer() {
    return this.page.locator('.answer').last();
  }

  async isAtEnd() {
    return this.page.evaluate(() => {
      const { scrollTop, scrollHeight, clientHeight } = document.getElementById('scroller');
      return scrollHeight - clientHeight - scrollTop < 5;
    });
  }
}
