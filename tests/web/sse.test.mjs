// The parser of server-sent events gives the same events however their bytes are cut.
import assert from 'node:assert/strict';
import test from 'node:test';

import { SseParser } from '../../web/sse.js';

const STREAM = ': hello\r\ndata: {"a": "é你好🙂"}\r\n\r\nevent: x\ndata: one\ndata:two\ndata\n\n' +
  'id: 7\n\rdata:  last\r\rdata: [DONE]\n\ndata: never ended';
const EVENTS = ['{"a": "é你好🙂"}', 'one\ntwo\n', ' last', '[DONE]'];

const eventsOf = (...pieces) => {
  const parser = new SseParser();
  return pieces.flatMap((piece) => parser.push(piece));
};

test('every cutting into two, and byte by byte', () => {
  const bytes = new TextEncoder().encode(STREAM);
  for (let cut = 0; cut <= bytes.length; ++cut)
    assert.deepEqual(eventsOf(bytes.slice(0, cut), bytes.slice(cut)), EVENTS, `cut at ${cut}`);
  assert.deepEqual(eventsOf(...[...bytes].map((byte) => Uint8Array.of(byte))), EVENTS);
});

test('every cutting into three', () => {
  const bytes = new TextEncoder().encode('data: ü\r\n\r\ndata: 1\r\ndata: 2\rdata: 3\n\r\n');
  for (let first = 0; first <= bytes.length; ++first)
    for (let second = first; second <= bytes.length; ++second)
      assert.deepEqual(eventsOf(bytes.slice(0, first), bytes.slice(first, second), bytes.slice(second)),
        ['ü', '1\n2\n3'], `${first}, ${second}`);
});

test('a megabyte in small pieces takes no time', { timeout: 10_000 }, () => {
  const parser = new SseParser();
  const piece = new TextEncoder().encode('x'.repeat(64));
  parser.push(new TextEncoder().encode('data: '));
  for (let i = 0; i < 16_384; ++i) parser.push(piece);
  const [event] = parser.push(new TextEncoder().encode('\n\n'));
  assert.equal(event.length, 1 << 20);
});
