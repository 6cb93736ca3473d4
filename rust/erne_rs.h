/* What erne takes from Rust: Jinja chat templates, grammars and Unicode's classes of characters.
 * No function unwinds or aborts, whatever a template or a grammar does: size, memory, stack and time
 * are bounded (rust/src/chat_template.rs, rust/src/grammar.rs), and compiling and rendering run on a
 * thread of their own. Any threads may use a template, a vocabulary or a grammar at the same time;
 * a matcher is one thread's at a time. Texts are UTF-8, with a length and without a final NUL. */
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
  /* does not compile, or does not fit; the text may quote the source */
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

/* A model's tokens, as grammars see them. */
typedef struct erne_vocabulary erne_vocabulary;
typedef struct erne_grammar erne_grammar;
/* What of one text has been matched with a grammar, which it keeps alive. */
typedef struct erne_matcher erne_matcher;

typedef enum {
  ERNE_JSON_SCHEMA = 0,
  ERNE_REGEX = 1,
  ERNE_CHOICE = 2,        /* a JSON list of texts */
  ERNE_EBNF = 3,          /* rust/src/grammar/ebnf.rs */
  ERNE_STRUCTURAL_TAG = 4 /* rust/src/grammar/structural_tag.rs */
} erne_grammar_kind;

/* `bytes`: what each token adds to a text, one after the other; `lengths`: of each, and -1 for a
 * token that no text can stand for. */
erne_outcome erne_vocabulary_new(const char* bytes, const int32_t* lengths, size_t num_tokens,
                                 erne_vocabulary** vocabulary, erne_text* error);

/* On ERNE_DONE `*held_bytes` is what the grammar takes of memory; otherwise `error` says what of the
 * source is wrong, and where. */
erne_outcome erne_grammar_compile(const erne_vocabulary* vocabulary, erne_grammar_kind kind,
                                  const char* source, size_t length, erne_grammar** compiled,
                                  size_t* held_bytes, erne_text* error);

erne_outcome erne_matcher_new(const erne_grammar* grammar, erne_matcher** matcher,
                              erne_text* error);
/* Writes which tokens may come next, token i in bit i % 32 of words[i / 32], and whether the text
 * may end here. Fails where the grammar takes more work than a step may cost. */
erne_outcome erne_matcher_mask(erne_matcher* matcher, uint32_t* words, size_t num_words,
                               bool* may_end, erne_text* error);
/* The text goes on with these; fails if they may not come. */
erne_outcome erne_matcher_accept(erne_matcher* matcher, const uint32_t* tokens, size_t num_tokens,
                                 erne_text* error);
/* The newest tokens were taken back. */
erne_outcome erne_matcher_rollback(erne_matcher* matcher, size_t num_tokens, erne_text* error);
/* How the text goes on, as far as the grammar leaves no choice. */
erne_outcome erne_matcher_forced(erne_matcher* matcher, erne_text* forced);

void erne_vocabulary_free(erne_vocabulary* vocabulary);
void erne_grammar_free(erne_grammar* grammar);
void erne_matcher_free(erne_matcher* matcher);
void erne_text_free(erne_text text);

/* Of a code point: Unicode's White_Space; a letter, digit, mark or underscore. */
bool erne_is_white_space(uint32_t code);
bool erne_is_word_character(uint32_t code);

#ifdef __cplusplus
}
#endif
