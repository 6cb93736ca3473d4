//! What erne takes from Rust, as the C functions that `erne_rs.h` declares. No panic crosses them.

#![feature(alloc_error_hook)] // see bounded.rs

mod bounded;
mod chat_template;
mod failure;
mod grammar;
mod python_json;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::{ptr, slice, str};

use chat_template::ChatTemplate;
use failure::Failure;
use grammar::{Grammar, Kind, Matcher, Vocabulary};

/// Bytes that C owns until it calls `erne_text_free`.
#[repr(C)]
pub struct ErneText {
    data: *mut u8,
    length: usize,
}

impl ErneText {
    fn new(text: String) -> Self {
        let bytes = text.into_bytes().into_boxed_slice();
        let length = bytes.len();
        ErneText {
            data: Box::into_raw(bytes).cast(),
            length,
        }
    }
}

#[repr(C)]
pub enum ErneOutcome {
    Done = 0,
    Refused = 1,
    Limit = 2,
    Failed = 3,
    Exhausted = 4,
}

/// Runs `work`, hands its text to C, and turns a panic into a failure.
fn deliver(out: *mut ErneText, work: impl FnOnce() -> Result<String, Failure>) -> ErneOutcome {
    bounded::install_hooks();
    let result = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        Err(match bounded::is_out_of_memory(&*panic) {
            true => Failure::Exhausted("the system has no memory left".into()),
            false => Failure::Failed("panic in erne_rs".into()),
        })
    });
    let (outcome, text) = match result {
        Ok(text) => (ErneOutcome::Done, text),
        Err(Failure::Refused(text)) => (ErneOutcome::Refused, text),
        Err(Failure::Limit(text)) => (ErneOutcome::Limit, text),
        Err(Failure::Exhausted(text)) => (ErneOutcome::Exhausted, text),
        Err(Failure::Failed(text)) => (ErneOutcome::Failed, text),
    };
    // SAFETY: the header asks for a valid pointer.
    unsafe { ptr::write(out, ErneText::new(text)) };
    outcome
}

/// SAFETY: `data` points to `length` readable bytes that outlive the result, or `length` is 0.
unsafe fn text_of<'a>(data: *const u8, length: usize) -> Result<&'a str, Failure> {
    let bytes = if length == 0 {
        &[]
    } else {
        unsafe { slice::from_raw_parts(data, length) }
    };
    str::from_utf8(bytes).map_err(|error| Failure::Failed(error.to_string()))
}

/// # Safety
/// As `erne_rs.h` says: `source` is readable, `compiled` and `error` are writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn erne_template_compile(
    source: *const u8,
    length: usize,
    compiled: *mut *mut ChatTemplate,
    error: *mut ErneText,
) -> ErneOutcome {
    deliver(error, || {
        let source = unsafe { text_of(source, length) }?;
        let template = ChatTemplate::compile(source)?;
        unsafe { ptr::write(compiled, Box::into_raw(Box::new(template))) };
        Ok(String::new())
    })
}

/// # Safety
/// As `erne_rs.h` says: `template` comes from `erne_template_compile`, `context` is readable, `out` is
/// writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn erne_template_render(
    template: *const ChatTemplate,
    context: *const u8,
    length: usize,
    out: *mut ErneText,
) -> ErneOutcome {
    deliver(out, || {
        let context = unsafe { text_of(context, length) }?;
        unsafe { &*template }.render(context)
    })
}

/// # Safety
/// `template` comes from `erne_template_compile` and is not used again; null is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn erne_template_free(template: *mut ChatTemplate) {
    if !template.is_null() {
        discard(unsafe { Box::from_raw(template) });
    }
}

/// # Safety
/// As `erne_rs.h` says: `bytes` and `lengths` are readable, `vocabulary` and `error` are writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn erne_vocabulary_new(
    bytes: *const u8,
    lengths: *const i32,
    num_tokens: usize,
    vocabulary: *mut *const Vocabulary,
    error: *mut ErneText,
) -> ErneOutcome {
    deliver(error, || {
        let mut tokens: Vec<Option<&[u8]>> = Vec::with_capacity(num_tokens);
        let mut next = bytes;
        for length in unsafe { slice::from_raw_parts(lengths, num_tokens) } {
            tokens.push(match usize::try_from(*length) {
                Ok(length) => {
                    let token = unsafe { slice::from_raw_parts(next, length) };
                    next = unsafe { next.add(length) };
                    Some(token)
                }
                Err(_) => None,
            });
        }
        let made = Vocabulary::new(&tokens)?;
        unsafe { ptr::write(vocabulary, Arc::into_raw(Arc::new(made))) };
        Ok(String::new())
    })
}

/// # Safety
/// As `erne_rs.h` says: `vocabulary` is alive, `source` is readable, `compiled`, `bytes` and `error` are
/// writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn erne_grammar_compile(
    vocabulary: *const Vocabulary,
    kind: Kind,
    source: *const u8,
    length: usize,
    compiled: *mut *const Grammar,
    bytes: *mut usize,
    error: *mut ErneText,
) -> ErneOutcome {
    deliver(error, || {
        let source = unsafe { text_of(source, length) }?;
        let grammar = unsafe { shared(vocabulary) }.compile(kind, source)?;
        unsafe {
            ptr::write(bytes, grammar.bytes());
            ptr::write(compiled, Arc::into_raw(Arc::new(grammar)));
        }
        Ok(String::new())
    })
}

/// # Safety
/// As `erne_rs.h` says: `grammar` is alive, `matcher` and `error` are writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn erne_matcher_new(
    grammar: *const Grammar,
    matcher: *mut *mut Matcher,
    error: *mut ErneText,
) -> ErneOutcome {
    deliver(error, || {
        let made = Matcher::new(unsafe { shared(grammar) });
        unsafe { ptr::write(matcher, Box::into_raw(Box::new(made))) };
        Ok(String::new())
    })
}

/// # Safety
/// As `erne_rs.h` says: `matcher` is alive and nobody else's, `words`, `may_end` and `error` are writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn erne_matcher_mask(
    matcher: *mut Matcher,
    words: *mut u32,
    num_words: usize,
    may_end: *mut bool,
    error: *mut ErneText,
) -> ErneOutcome {
    deliver(error, || {
        let words = unsafe { slice::from_raw_parts_mut(words, num_words) };
        let ends = unsafe { &mut *matcher }.mask(words)?;
        unsafe { ptr::write(may_end, ends) };
        Ok(String::new())
    })
}

/// # Safety
/// As `erne_rs.h` says: `matcher` is alive and nobody else's, `tokens` is readable, `error` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn erne_matcher_accept(
    matcher: *mut Matcher,
    tokens: *const u32,
    num_tokens: usize,
    error: *mut ErneText,
) -> ErneOutcome {
    deliver(error, || {
        let tokens = unsafe { slice::from_raw_parts(tokens, num_tokens) };
        unsafe { &mut *matcher }.accept(tokens)?;
        Ok(String::new())
    })
}

/// # Safety
/// As `erne_rs.h` says: `matcher` is alive and nobody else's, `error` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn erne_matcher_rollback(
    matcher: *mut Matcher,
    num_tokens: usize,
    error: *mut ErneText,
) -> ErneOutcome {
    deliver(error, || {
        unsafe { &mut *matcher }.rollback(num_tokens)?;
        Ok(String::new())
    })
}

/// # Safety
/// As `erne_rs.h` says: `matcher` is alive and nobody else's, `forced` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn erne_matcher_forced(matcher: *mut Matcher, forced: *mut ErneText) -> ErneOutcome {
    deliver(forced, || {
        let mut bytes = unsafe { &mut *matcher }.forced();
        let whole = str::from_utf8(&bytes).map_or_else(|error| error.valid_up_to(), str::len);
        bytes.truncate(whole);
        String::from_utf8(bytes).map_err(|error| Failure::Failed(error.to_string()))
    })
}

/// Another owner of what C holds.
///
/// SAFETY: `owned` comes from `Arc::into_raw` and has not been freed.
unsafe fn shared<T>(owned: *const T) -> Arc<T> {
    unsafe {
        Arc::increment_strong_count(owned);
        Arc::from_raw(owned)
    }
}

/// # Safety
/// `vocabulary` comes from `erne_vocabulary_new` and is not used again; null is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn erne_vocabulary_free(vocabulary: *const Vocabulary) {
    if !vocabulary.is_null() {
        discard(unsafe { Arc::from_raw(vocabulary) });
    }
}

/// # Safety
/// `grammar` comes from `erne_grammar_compile` and is not used again; null is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn erne_grammar_free(grammar: *const Grammar) {
    if !grammar.is_null() {
        discard(unsafe { Arc::from_raw(grammar) });
    }
}

/// # Safety
/// `matcher` comes from `erne_matcher_new` and is not used again; null is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn erne_matcher_free(matcher: *mut Matcher) {
    if !matcher.is_null() {
        discard(unsafe { Box::from_raw(matcher) });
    }
}

fn discard<T>(owned: T) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(owned)));
}

/// # Safety
/// `text` comes from one of the functions above and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn erne_text_free(text: ErneText) {
    drop(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(text.data, text.length)) });
}

#[unsafe(no_mangle)]
pub extern "C" fn erne_is_white_space(code: u32) -> bool {
    char::from_u32(code).is_some_and(char::is_whitespace)
}

/// What regular expressions call `\w`, as near as the standard library knows it: it has no table of marks
/// and counts numbers that are not digits as numeric.
#[unsafe(no_mangle)]
pub extern "C" fn erne_is_word_character(code: u32) -> bool {
    let is_mark = matches!(code, 0x300..=0x36F | 0x1AB0..=0x1AFF | 0x1DC0..=0x1DFF | 0x20D0..=0x20F0
        | 0xFE00..=0xFE0F | 0xFE20..=0xFE2F);
    let joins = matches!(
        code,
        0x5F | 0x200C | 0x200D | 0x203F | 0x2040 | 0x2054 | 0xFE33 | 0xFE34 | 0xFE4D..=0xFE4F | 0xFF3F
    );
    let is_fraction_or_index = matches!(code, 0xB2 | 0xB3 | 0xB9 | 0xBC..=0xBE | 0x2070..=0x2079
        | 0x2080..=0x2089 | 0x2150..=0x215F | 0x2460..=0x249B | 0x2776..=0x2793 | 0x3220..=0x3229);
    let is_alphanumeric = char::from_u32(code).is_some_and(char::is_alphanumeric);
    is_mark || joins || (is_alphanumeric && !is_fraction_or_index)
}
