//! Chat templates as Hugging Face's `apply_chat_template` runs them: its Jinja settings, its extra
//! functions, Python's string and dict methods. A template is bounded in size, and compiling and rendering
//! it in memory, stack, time, steps and output.

use std::error::Error as _;
use std::ffi::CString;
use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Kwargs;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Value};

use crate::bounded::{self, Bounds, Stopped};
use crate::failure::Failure;
use crate::python_json;

pub struct ChatTemplate {
    environment: Arc<Environment<'static>>,
    runaways: AtomicUsize,
}

/// C may render from any thread.
const _: () = {
    const fn is_shareable<T: Send + Sync>() {}
    is_shareable::<ChatTemplate>()
};

const NAME: &str = "chat_template";
const MAX_RECURSION: usize = 100;
/// The largest ones published have 30 KB.
const MAX_TEMPLATE_BYTES: usize = 256 << 10;
const MAX_OUTPUT_BYTES: usize = 64 << 20;
const MAX_TIME: Duration = Duration::from_secs(3);
/// Threads that a template may leave behind before it is not run any more.
const MAX_RUNAWAYS: usize = 2;

/// A chain of operators is parsed, compiled and dropped by recursion, a level for every byte or two.
const PARSER_STACK_PER_BYTE: usize = 2 << 10;
const PARSER_MEMORY_PER_BYTE: usize = 1 << 10;

/// A step is about one operation of the template. Of a conversation's JSON, about 30 bytes are a message.
fn max_steps(context_bytes: usize) -> usize {
    (100_000 + 16 * context_bytes).min(2_000_000)
}

fn compile_bounds(source_bytes: usize) -> Bounds {
    Bounds {
        memory: (16 << 20) + PARSER_MEMORY_PER_BYTE * source_bytes,
        stack: (8 << 20) + PARSER_STACK_PER_BYTE * source_bytes,
        time: MAX_TIME,
    }
}

/// A few steps nest a list once more, and lists are dropped and written by recursion.
fn render_bounds(context_bytes: usize) -> Bounds {
    Bounds {
        memory: (32 << 20) + 24 * context_bytes,
        stack: (8 << 20) + 128 * max_steps(context_bytes),
        time: MAX_TIME,
    }
}

fn stopped(why: Stopped) -> Failure {
    Failure::of(why, "the template engine")
}

impl ChatTemplate {
    pub fn compile(source: &str) -> Result<Self, Failure> {
        if source.len() > MAX_TEMPLATE_BYTES {
            let bytes = source.len();
            let why = format!("it has {bytes} bytes; at most {MAX_TEMPLATE_BYTES} are allowed");
            return Err(Failure::Limit(why));
        }
        let owned = source.to_owned();
        let environment = bounded::run(compile_bounds(source.len()), move || environment_of(&owned));
        Ok(ChatTemplate {
            environment: Arc::new(environment.map_err(stopped)??),
            runaways: AtomicUsize::new(0),
        })
    }

    /// `context`: a JSON object with everything the template may name.
    pub fn render(&self, context: &str) -> Result<String, Failure> {
        if self.runaways.load(Ordering::Relaxed) >= MAX_RUNAWAYS {
            return Err(Failure::Limit(
                "it has not ended before, and is not run again".into(),
            ));
        }
        let environment = self.environment.clone();
        let owned = context.to_owned();
        let rendered = bounded::run(render_bounds(context.len()), move || render(&environment, owned));
        if matches!(rendered, Err(Stopped::Runaway)) {
            self.runaways.fetch_add(1, Ordering::Relaxed);
        }
        rendered.map_err(stopped)?
    }
}

fn environment_of(source: &str) -> Result<Environment<'static>, Failure> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build()
        .map_err(describe)?;
    environment.set_syntax(syntax);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_recursion_limit(MAX_RECURSION);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_filter("tojson", tojson);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", strftime_now);
    environment
        .add_template_owned(NAME, without_generation_tags(source))
        .map_err(describe)?;
    Ok(environment)
}

fn render(environment: &Environment<'static>, context: String) -> Result<String, Failure> {
    let mut environment = environment.clone();
    environment.set_fuel(Some(max_steps(context.len()) as u64));
    let values: serde_json::Value =
        serde_json::from_str(&context).map_err(|error| Failure::Failed(error.to_string()))?;
    drop(context);
    let values = Value::from(minijinja::value::Serde(values));
    let mut output = Bounded {
        bytes: Vec::new(),
        left: MAX_OUTPUT_BYTES,
    };
    environment
        .get_template(NAME)
        .and_then(|template| template.render_captured_to(values, &mut output))
        .map_err(describe)?;
    String::from_utf8(output.bytes).map_err(|error| Failure::Failed(error.to_string()))
}

/// A buffer that refuses to grow beyond its limit.
struct Bounded {
    bytes: Vec<u8>,
    left: usize,
}

impl Write for Bounded {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.left = self
            .left
            .checked_sub(data.len())
            .ok_or_else(|| io::Error::other("output too long"))?;
        self.bytes.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Marks an error as the template's own refusal, however deep in macros it was raised.
#[derive(Debug)]
struct Raised(String);

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Raised {}

fn describe(error: Error) -> Failure {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(Raised(message)) = cause.downcast_ref() {
            return Failure::Refused(message.clone());
        }
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    match error.kind() {
        ErrorKind::OutOfFuel | ErrorKind::WriteFailure => Failure::Limit(text),
        _ => Failure::Failed(text),
    }
}

fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, "raise_exception").with_source(Raised(message)))
}

/// The local time in strftime's notation; empty where the format gives more than 1 KiB.
fn strftime_now(format: String) -> Result<String, Error> {
    let format =
        CString::new(format).map_err(|_| Error::new(ErrorKind::InvalidOperation, "NUL in a time format"))?;
    let mut buffer = [0u8; 1024];
    // SAFETY: libc writes at most the buffer's length and reads a NUL-terminated format; an all-zero tm
    // is a valid one.
    let length = unsafe {
        let now = libc::time(std::ptr::null_mut());
        let mut local: libc::tm = std::mem::zeroed();
        libc::localtime_r(&now, &mut local);
        libc::strftime(buffer.as_mut_ptr().cast(), buffer.len(), format.as_ptr(), &local)
    };
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

/// Python's `json.dumps` with Hugging Face's defaults; minijinja's own filter escapes for HTML.
fn tojson(value: &Value, indent: Option<Value>, options: Kwargs) -> Result<String, Error> {
    let indent = indent.or(options.get("indent")?);
    let separators: Option<Vec<String>> = options.get("separators")?;
    let style = python_json::Style {
        indent: indent
            .filter(|indent| !indent.is_none())
            .map(usize::try_from)
            .transpose()?,
        separators: match separators.as_deref() {
            Some([item, key]) => Some((item.clone(), key.clone())),
            Some(_) => return Err(not_json("separators must be two strings")),
            None => None,
        },
        ensure_ascii: options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
    };
    let sort_keys = options.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    options.assert_all_used()?;
    let mut json = serde_json::to_value(value).map_err(|error| not_json(error.to_string()))?;
    if sort_keys {
        json.sort_all_objects();
    }
    python_json::dumps(&json, style).map_err(|error| not_json(error.to_string()))
}

fn not_json(why: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, why)
}

/// `{% generation %}` only matters for training: it becomes a block without effect and with the same
/// control of white space.
fn without_generation_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start + 2);
        out.push_str(before);
        rest = tag;
        let Some(end) = tag.find("%}") else { break };
        let body = &tag[..end];
        let word = body.trim_matches(|c: char| c.is_ascii_whitespace() || c == '-' || c == '+');
        let same = match word {
            "generation" => "if true",
            "endgeneration" => "endif",
            _ => continue,
        };
        out.push_str(&body.replacen(word, same, 1));
        rest = &tag[end..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(source: &str, context: &str) -> Result<String, String> {
        ChatTemplate::compile(source)
            .and_then(|template| template.render(context))
            .map_err(|failure| match failure {
                Failure::Refused(text) => format!("refused: {text}"),
                Failure::Limit(text) => format!("limit: {text}"),
                Failure::Exhausted(text) => format!("exhausted: {text}"),
                Failure::Failed(text) => format!("failed: {text}"),
            })
    }

    #[test]
    fn generation_tags_leave_no_trace() {
        let source = "a {%- generation -%} b {% endgeneration %}\n{% if true %}c{% endif %}";
        assert_eq!(render(source, "{}").unwrap(), "ab c");
        assert_eq!(without_generation_tags("{{ 1 }} {% if x"), "{{ 1 }} {% if x");
    }

    #[test]
    fn a_raised_exception_is_told_from_a_failure() {
        let source = "{% macro f() %}{{ raise_exception('no ' ~ x) }}{% endmacro %}{{ f() }}";
        assert_eq!(render(source, r#"{"x":"way"}"#).unwrap_err(), "refused: no way");
        assert!(render("{{ x.y.z }}", "{}").unwrap_err().starts_with("failed: "));
    }

    #[test]
    fn steps_recursion_and_output_are_bounded() {
        let loops = "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}";
        assert!(render(loops, "{}").unwrap_err().starts_with("limit: "));
        let prints = "{% for i in range(9999) %}{{ 'x' * 9999 }}{% endfor %}";
        assert!(render(prints, "{}").unwrap_err().starts_with("limit: "));
        let recursion = "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}";
        assert!(render(recursion, "{}").is_err());
    }
}
