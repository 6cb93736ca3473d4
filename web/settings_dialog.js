// The dialog of settings.js: what is typed is taken when the dialog closes, in whatever way.
import { element } from './dom.js';
import { DEFAULTS, NUMBERS, parseTools } from './settings.js';

export class SettingsDialog {
  #dialog = document.getElementById('settings');
  #form = this.#dialog.querySelector('form');
  #speaker;

  /** onDone(settings) */
  constructor(speaker, onDone) {
    this.#speaker = speaker;
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#dialog.close();
    });
    this.#form.tools.addEventListener('input', () => this.#checkTools());
    this.#dialog.addEventListener('close', () => onDone(this.#read()));
    document.getElementById('reset-settings').addEventListener('click', () => this.#fill(DEFAULTS));
    this.#makeNumbers();
  }

  open(settings) {
    this.#fill(settings);
    this.#dialog.showModal();
  }

  close() {
    this.#dialog.close();
  }

  #makeNumbers() {
    document.getElementById('numbers').replaceChildren(...NUMBERS.map(({ name, min, max, step }) =>
      element('label', {}, element('span', { 'data-word': name }),
        element('input', { type: 'number', name, min, max, step: step < 1 ? 'any' : step, inputmode: 'decimal' }))));
  }

  #fill(settings) {
    for (const name of Object.keys(DEFAULTS)) this.#form.elements[name].value = settings[name];
    this.#checkTools();
  }

  #read() {
    return Object.fromEntries(Object.keys(DEFAULTS).map((name) => [name, this.#form.elements[name].value]));
  }

  #checkTools() {
    const field = this.#form.tools;
    let fault = '';
    try {
      parseTools(field.value);
    } catch {
      fault = this.#speaker.word('badTools');
    }
    field.setCustomValidity(fault);
  }
}
