// What the user sets for all conversations, as text, and what of it goes into a request.

/** Number fields in the order of the dialog: their ranges are the server's (docs/api.md). */
export const NUMBERS = [
  { name: 'temperature', min: 0, max: 2, step: 0.1 },
  { name: 'top_p', min: 0, max: 1, step: 0.05 },
  { name: 'max_tokens', min: 1, max: 1e6, step: 1 },
  { name: 'seed', min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER, step: 1 },
];

/** Empty text is the server's default. `thinking`: '', 'on' or 'off'; `tools`: JSON text. */
export const DEFAULTS = {
  language: '', system: '', temperature: '', top_p: '', max_tokens: '', seed: '', thinking: '', tools: '',
};

const PLACE = 'erne.settings';

export function loadSettings(storage) {
  try {
    const known = JSON.parse(storage.getItem(PLACE)) ?? {};
    const texts = Object.keys(DEFAULTS).filter((name) => typeof known[name] === 'string');
    return { ...DEFAULTS, ...Object.fromEntries(texts.map((name) => [name, known[name]])) };
  } catch {
    return { ...DEFAULTS };
  }
}

export function saveSettings(storage, settings) {
  try {
    storage.setItem(PLACE, JSON.stringify(settings));
  } catch {
    // without storage they last as long as the page
  }
}

/** The tools of a request; throws where the text is no list of them. */
export function parseTools(text) {
  if (!text.trim()) return [];
  const tools = JSON.parse(text);
  if (!Array.isArray(tools)) throw new TypeError('not a list');
  return tools.map((tool) => (tool?.function ? tool : { type: 'function', function: tool }));
}

/** The fields of a request besides its messages. */
export function requestFields(settings) {
  const fields = {};
  for (const { name } of NUMBERS)
    if (settings[name].trim() !== '' && Number.isFinite(Number(settings[name])))
      fields[name] = Number(settings[name]);
  if (settings.thinking) fields.chat_template_kwargs = { enable_thinking: settings.thinking === 'on' };
  const tools = parseTools(settings.tools);
  if (tools.length > 0) fields.tools = tools;
  return fields;
}
