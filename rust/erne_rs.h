/* What erne takes from Rust: Jinja chat templates. Any thread may render with one compiled template
 * at the same time as others. No function unwinds. Texts are UTF-8, with a length and without a
 * final NUL. */
#pragma once

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
  ERNE_LIMIT = 2,   /* too many steps or too much output */
  ERNE_FAILED =
      3, /* does not compile, or does not fit the context; the text may quote the template */
} erne_outcome;

/* Compiles a template. On ERNE_DONE `*compiled` is to be given back to erne_template_free;
 * otherwise it is untouched and `error` says why. A step is about one operation of the template. */
erne_outcome erne_template_compile(const char* source, size_t length, uint64_t max_steps,
                                   size_t max_output_bytes, erne_template** compiled,
                                   erne_text* error);

/* Renders with `context`, a JSON object that holds every variable. `out` is the rendered text, or
 * why there is none. */
erne_outcome erne_template_render(const erne_template* compiled, const char* context, size_t length,
                                  erne_text* out);

void erne_template_free(erne_template* compiled);
void erne_text_free(erne_text text);

#ifdef __cplusplus
}
#endif
