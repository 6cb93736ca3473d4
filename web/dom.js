// Elements from plain descriptions. Text only ever becomes text: nothing here, or anywhere in the page,
// parses HTML, and the server's Content-Security-Policy (trusted types) has browsers refuse to.

/** element('a', {class: 'x', href, onclick: f}, 'text', child, null): an absent child is left out. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(name, value === true ? '' : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** A button that only does something. */
export function button(text, onclick, attributes = {}) {
  return element('button', { type: 'button', onclick, ...attributes }, text);
}

/** A button that copies `text()` and says so for a while. */
export function copyButton(speaker, text) {
  const made = button(speaker.word('copy'), async () => {
    await copy(text());
    made.textContent = speaker.word('copied');
    setTimeout(() => { made.textContent = speaker.word('copy'); }, 1500);
  });
  return made;
}

// Pages that came over plain HTTP from another machine have no clipboard of their own.
async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = element('textarea', { class: 'unseen', 'aria-hidden': 'true' });
  const focused = document.activeElement;
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand('copy');
  field.remove();
  focused?.focus();
}

/** Makes a text field as high as its text, up to what the style sheet allows. */
export function fitHeight(field) {
  field.style.height = 'auto';
  field.style.height = `${field.scrollHeight + field.offsetHeight - field.clientHeight}px`;
}
