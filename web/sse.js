// Server-sent events: bytes in, cut anywhere, the data of every complete event out.

export class SseParser {
  #decoder = new TextDecoder(); // keeps the bytes of a character until all have come
  #line = ''; // of the line that is coming
  #data = []; // lines of the event that is coming
  #afterReturn = false; // CR ended the last line, so LF belongs to it

  /** The data of each event that ends in these bytes, in order. */
  push(bytes) {
    const events = [];
    const text = this.#decoder.decode(bytes, { stream: true });
    let from = 0;
    for (let at = 0; at < text.length; ++at) {
      const char = text[at];
      if (char !== '\n' && char !== '\r') {
        this.#afterReturn = false;
        continue;
      }
      const isSecondHalf = char === '\n' && this.#afterReturn;
      this.#afterReturn = char === '\r';
      if (!isSecondHalf) this.#endLine(this.#line + text.slice(from, at), events);
      this.#line = '';
      from = at + 1;
    }
    this.#line += text.slice(from);
    return events;
  }

  #endLine(line, events) {
    if (line === '') {
      if (this.#data.length > 0) events.push(this.#data.join('\n'));
      this.#data = [];
    } else if (line === 'data') {
      this.#data.push('');
    } else if (line.startsWith('data:')) {
      this.#data.push(line.slice(line[5] === ' ' ? 6 : 5));
    } // comments and other fields say nothing that is needed here
  }
}
