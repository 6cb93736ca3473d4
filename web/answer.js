// A model's answer as it comes: chunks of /v1/chat/completions in, one message of a conversation out.

/**
 * An assistant's message:
 *   content, reasoning: text so far
 *   toolCalls: [{id, name, arguments}], arguments being JSON text, complete once the answer is
 *   finish: OpenAI's finish_reason, 'stopped' by the user, or null while it comes or where it broke off
 *   usage: OpenAI's, where it came
 *   seconds: {first, thinking, total}: from the request to the first delta, from there to the end of the
 *     thoughts, from the request to the last delta
 *   error: what ended it early (api.js, errorOf), or null
 */
export function emptyAnswer() {
  return {
    role: 'assistant', content: '', reasoning: '', toolCalls: [], finish: null, usage: null,
    seconds: { first: null, thinking: null, total: 0 }, error: null,
  };
}

/** Adds a chunk that came `seconds` after the request. Throws nothing, whatever the chunk is. */
export function addChunk(answer, chunk, seconds) {
  if (chunk?.usage) answer.usage = chunk.usage;
  const choice = chunk?.choices?.[0];
  if (!choice) return;
  const delta = choice.delta ?? {};
  const thought = textOf(delta.reasoning_content) || textOf(delta.reasoning);
  const content = textOf(delta.content);
  const calls = Array.isArray(delta.tool_calls) ? delta.tool_calls.filter(Boolean) : [];
  if (thought || content || calls.length > 0) {
    answer.seconds.first ??= seconds;
    answer.seconds.total = seconds;
  }
  const wasThinking = answer.content === '' && answer.toolCalls.length === 0;
  answer.reasoning += thought;
  if (answer.reasoning && wasThinking) answer.seconds.thinking = seconds - answer.seconds.first;
  answer.content += content;
  for (const call of calls) addCall(answer.toolCalls, call);
  if (choice.finish_reason) answer.finish = choice.finish_reason;
}

const MOST_CALLS = 128;

function addCall(calls, delta) {
  const index = Number.isInteger(delta.index) ? delta.index : calls.length;
  if (index < 0 || index >= MOST_CALLS) return;
  while (calls.length <= index) calls.push({ id: '', name: '', arguments: '' });
  const call = calls[index];
  call.id ||= textOf(delta.id);
  call.name += textOf(delta.function?.name);
  call.arguments += textOf(delta.function?.arguments);
}

function textOf(value) {
  return typeof value === 'string' ? value : '';
}

/** Whether the answer ends in complete calls, whose results the model waits for. */
export function isCalling({ toolCalls, finish, error }) {
  return toolCalls?.length > 0 && !error && (finish === 'tool_calls' || finish === 'stop');
}

const SHORTEST_SPAN = 0.05; // seconds; what came at once tells no speed

/** Tokens a second after the first one; null where too little is known. */
export function tokensPerSecond({ usage, seconds }) {
  const span = seconds.total - seconds.first;
  const tokens = usage?.completion_tokens;
  return tokens > 1 && span > SHORTEST_SPAN ? (tokens - 1) / span : null;
}

/** Messages of a conversation as the API takes them, after the system prompt, if there is one. */
export function requestMessages(system, messages) {
  const out = system.trim() ? [{ role: 'system', content: system }] : [];
  for (const message of messages) {
    if (message.role === 'tool')
      out.push({ role: 'tool', tool_call_id: message.toolCallId, content: message.content });
    else if (message.role === 'user')
      out.push({ role: 'user', content: message.content });
    else if (isCalling(message))
      out.push({ role: 'assistant', content: message.content, tool_calls: message.toolCalls.map(requestCall) });
    else if (message.content !== '') // else it failed before it began
      out.push({ role: 'assistant', content: message.content });
  }
  return out;
}

function requestCall(call, index) {
  return { id: callId(call, index), type: 'function', function: { name: call.name, arguments: call.arguments } };
}

/** The name under which a call's result is sent. */
export function callId(call, index) {
  return call.id || `call_${index}`;
}
