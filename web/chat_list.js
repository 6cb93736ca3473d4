// The conversations beside the open one.
import { button, element } from './dom.js';

/** `on`: {open(id), remove(id)}. */
export function showChatList(list, speaker, entries, openId, on) {
  list.replaceChildren(...entries.map(({ id, title }) => {
    const name = title || speaker.word('untitled');
    const remove = () => confirm(speaker.word('deleteAsk', { title: name })) && on.remove(id);
    return element('li', {},
      button(name, () => on.open(id), { class: 'chat', 'aria-current': id === openId ? 'true' : null }),
      button('×', remove, { class: 'icon', 'aria-label': speaker.word('deleteChat', { title: name }) }));
  }));
}
