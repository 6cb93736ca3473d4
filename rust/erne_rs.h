/* What erne takes from Rust: Jinja chat templates and Unicode's classes of characters. Any thread may render with one compiled template
 * at the same time as others. No function unwinds or aborts, whatever the template does: size,
 * memory, stack, time, steps and output are bounded in rust/src/chat_template.rs, and compiling and
 * rendering run on a thread of their own. Texts are UTF-8, with a length and without a final NUL. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct erne_template erne_template;

/* Made by the functions below, whatever they return; given back to erne_text_free. */
typedef struct {
  char* data;
  size_t length;
} erne_text;

typedef enum {
  ERNE_DONE = 0,
  ERNE_REFUSED = 1, /* the template called raise_exception; the text is its message */
  ERNE_LIMIT = 2,   /* too large, too many steps, too much output, memory or time */
  /* does not compile, or does not fit the context; the text may quote the template */
  ERNE_FAILED = 3,
  ERNE_EXHAUSTED = 4 /* the system has no memory or no thread for it just now */
} erne_outcome;

/* Compiles a template. On ERNE_DONE `*compiled` is to be given back to erne_template_free;
 * otherwise it is untouched and `error` says why. */
erne_outcome erne_template_compile(const char* source, size_t length, erne_template** compiled,
                                   erne_text* error);

/* Renders with `context`, a JSON object that holds every variable. `out` is the rendered text, or
 * why there is none. */
erne_outcome erne_template_render(const erne_template* compiled, const char* context, size_t length,
                                  erne_text* out);

void erne_template_free(erne_template* compiled);
void erne_text_free(erne_text text);

/* Of a code point: Unicode's White_Space; a letter, digit, mark or underscore. */
bool erne_is_white_space(uint32_t code);
bool erne_is_word_character(uint32_t code);

#ifdef __cplusplus
}
#endif
