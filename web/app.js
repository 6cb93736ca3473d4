// The page: puts its parts together and says which event of one is heard by which other.
import { Api } from './api.js';
import { Chat } from './chat.js';
import { showChatList } from './chat_list.js';
import { Conversations } from './conversations.js';
import { fitHeight } from './dom.js';
import { isSendKey } from './message_view.js';
import { ServerLine, serverTexts } from './server_line.js';
import { loadSettings, saveSettings } from './settings.js';
import { SettingsDialog } from './settings_dialog.js';
import { Speaker, chooseLanguage } from './words.js';

const KEY = 'erne.key', OPEN = 'erne.open'; // in the tab's own storage
const NEAR_END = 60; // pixels from the end that still count as it

const part = (id) => document.getElementById(id);
const languageOf = ({ language }) => chooseLanguage(language, navigator.languages);

let settings = loadSettings(localStorage);
let openId = sessionStorage.getItem(OPEN) ?? newId();

const speaker = new Speaker(languageOf(settings));
const api = new Api(() => sessionStorage.getItem(KEY) ?? '');
const conversations = new Conversations(localStorage);
const server = new ServerLine(api);
const chat = new Chat({ api, speaker, settings: () => settings, list: part('log') });
const settingsDialog = new SettingsDialog(speaker, takeSettings);

function newId() {
  return `${Date.now().toString(36)}${Math.random().toString(36).slice(2, 8)}`;
}

// ---- Conversations

function openChat(id) {
  saveChat(); // what has come of an answer
  openId = id;
  sessionStorage.setItem(OPEN, id);
  chat.open(conversations.messages(id));
  closeMenu();
  showAll();
  scrollToEnd();
  part('prompt').focus();
}

function saveChat() {
  if (chat.messages.length === 0) return;
  if (!conversations.save(openId, chat.messages)) announce(speaker.word('notKept'));
}

function showAll() {
  showChatList(part('chat-list'), speaker, conversations.list(), openId, {
    open: openChat,
    remove: (id) => {
      conversations.remove(id);
      if (id !== openId) {
        showAll();
        return part('new-chat').focus();
      }
      chat.open([]); // there is nothing to save
      return openChat(newId());
    },
  });
  part('welcome').hidden = chat.messages.length > 0;
  part('send').hidden = chat.isAnswering;
  part('stop').hidden = !chat.isAnswering;
  part('send').disabled = server.state === 'loading';
}

chat.addEventListener('change', () => {
  saveChat();
  showAll();
});
chat.addEventListener('begin', () => {
  saveChat();
  showAll();
  scrollToEnd();
  if (document.activeElement === document.body) part('scroller').focus(); // the button that was pressed is gone
  announce(speaker.word('answerBegins'));
});
chat.addEventListener('end', ({ detail: { content, error } }) => {
  if (error?.status === 401) askForKey();
  else server.ask();
  announce(error ? error.message : speaker.word('answerEnds', { text: content.slice(0, 1000) }));
});
window.addEventListener('pagehide', saveChat);

// For those who listen: begin and end of an answer, not each word of it.
function announce(text) {
  part('announcement').textContent = text;
}

// ---- Scrolling: the end stays in sight unless the user has left it

let isAtEnd = true;
let lastTop = 0;

function scrollToEnd() {
  const scroller = part('scroller');
  scroller.scrollTop = scroller.scrollHeight;
  isAtEnd = true;
  part('to-end').hidden = true;
}

part('scroller').addEventListener('scroll', () => {
  const { scrollTop, scrollHeight, clientHeight } = part('scroller');
  const isNearEnd = scrollHeight - clientHeight - scrollTop < NEAR_END;
  if (isNearEnd || scrollTop < lastTop) isAtEnd = isNearEnd; // whoever leaves the end goes up
  lastTop = scrollTop;
  part('to-end').hidden = isAtEnd;
}, { passive: true });
const growth = new ResizeObserver(() => isAtEnd && scrollToEnd());
for (const id of ['log', 'scroller']) growth.observe(part(id));
part('to-end').addEventListener('click', () => {
  scrollToEnd();
  part('prompt').focus();
});

// ---- Writing

function sendPrompt() {
  const prompt = part('prompt');
  if (!prompt.value.trim() || chat.isAnswering || server.state === 'loading') return;
  chat.send(prompt.value);
  prompt.value = '';
  fitHeight(prompt);
  prompt.focus();
}

part('composer').addEventListener('submit', (event) => {
  event.preventDefault();
  sendPrompt();
});
part('prompt').addEventListener('input', () => fitHeight(part('prompt')));
part('prompt').addEventListener('keydown', (event) => {
  if (!isSendKey(event)) return;
  event.preventDefault();
  sendPrompt();
});
part('stop').addEventListener('click', () => {
  chat.stop();
  part('prompt').focus();
});
document.addEventListener('keydown', (event) => {
  if (event.key !== 'Escape' || document.querySelector('dialog[open]')) return;
  if (document.body.classList.contains('menu-open')) closeMenu();
  else chat.stop();
});

// ---- The menu, which a narrow page folds away

function setMenu(isOpen) {
  document.body.classList.toggle('menu-open', isOpen);
  part('menu').setAttribute('aria-expanded', String(isOpen));
}
function closeMenu() {
  if (!document.body.classList.contains('menu-open')) return;
  setMenu(false);
  part('menu').focus();
}
part('menu').addEventListener('click', () => {
  setMenu(true);
  part('new-chat').focus();
});
part('backdrop').addEventListener('click', closeMenu);
part('new-chat').addEventListener('click', () => openChat(newId()));

// ---- Server, key, settings, language

function showServer() {
  const { title, detail } = serverTexts(speaker, server);
  part('model').textContent = title;
  part('model').title = title;
  part('load').textContent = detail;
  part('send').disabled = server.state === 'loading';
}
server.addEventListener('change', () => {
  showServer();
  if (server.state === 'needsKey') askForKey();
});

function askForKey() {
  const dialog = part('key-dialog');
  if (dialog.open) return;
  part('key').value = '';
  dialog.showModal();
}
part('key-dialog').querySelector('form').addEventListener('submit', (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, part('key').value.trim());
  part('key-dialog').close();
  server.askAgain();
  if (chat.messages.at(-1)?.error?.status === 401) chat.retry();
  part('prompt').focus();
});
part('cancel-key').addEventListener('click', () => part('key-dialog').close());
part('change-key').addEventListener('click', () => {
  settingsDialog.close();
  askForKey();
});

part('open-settings').addEventListener('click', () => settingsDialog.open(settings));
function takeSettings(changed) {
  settings = changed;
  saveSettings(localStorage, settings);
  if (languageOf(settings) !== speaker.language) setLanguage();
}

function setLanguage() {
  speaker.set(languageOf(settings));
  document.documentElement.lang = speaker.language;
  for (const made of document.querySelectorAll('[data-word]')) made.textContent = speaker.word(made.dataset.word);
  for (const name of ['aria-label', 'placeholder'])
    for (const made of document.querySelectorAll(`[data-word-${name}]`))
      made.setAttribute(name, speaker.word(made.getAttribute(`data-word-${name}`)));
  if (!chat.isAnswering) chat.redraw();
  showServer();
  showAll();
}

setLanguage();
openChat(openId);
server.ask();
