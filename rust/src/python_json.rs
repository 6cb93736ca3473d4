//! JSON as Python's `json.dumps` writes it: chat templates were made with it, and a model has seen its
//! spaces and its floats.

use std::io::{self, Read, Write};

use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{Formatter, Serializer};

#[derive(Default)]
pub struct Style {
    pub indent: Option<usize>,
    /// Between items, and between a key and its value.
    pub separators: Option<(String, String)>,
    pub ensure_ascii: bool,
}

pub fn dumps(value: &Value, style: Style) -> io::Result<String> {
    let (item, key) = style.separators.unwrap_or_else(|| {
        let item = if style.indent.is_some() { "," } else { ", " };
        (item.into(), ": ".into())
    });
    let formatter = PythonFormatter {
        indent: style.indent,
        item,
        key,
        ensure_ascii: style.ensure_ascii,
        depth: 0,
        is_empty: true,
    };
    let mut out = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut out, formatter))?;
    String::from_utf8(out).map_err(io::Error::other)
}

struct PythonFormatter {
    indent: Option<usize>,
    item: String,
    key: String,
    ensure_ascii: bool,
    depth: usize,
    is_empty: bool, // of the innermost list or object so far
}

impl PythonFormatter {
    fn new_line<W: ?Sized + Write>(&self, out: &mut W) -> io::Result<()> {
        match self.indent {
            Some(width) => {
                out.write_all(b"\n")?;
                let spaces = width.saturating_mul(self.depth) as u64;
                io::copy(&mut io::repeat(b' ').take(spaces), out).map(|_| ())
            }
            None => Ok(()),
        }
    }

    fn open<W: ?Sized + Write>(&mut self, out: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.is_empty = true;
        out.write_all(bracket)
    }

    fn close<W: ?Sized + Write>(&mut self, out: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth -= 1;
        if !self.is_empty {
            self.new_line(out)?;
        }
        self.is_empty = false;
        out.write_all(bracket)
    }

    fn separate<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if !first {
            out.write_all(self.item.as_bytes())?;
        }
        self.is_empty = false;
        self.new_line(out)
    }
}

impl Formatter for PythonFormatter {
    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.open(out, b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out, b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.separate(out, first)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.open(out, b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out, b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.separate(out, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(self.key.as_bytes())
    }

    fn write_f64<W: ?Sized + Write>(&mut self, out: &mut W, value: f64) -> io::Result<()> {
        out.write_all(float_repr(value).as_bytes())
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        if !self.ensure_ascii {
            return out.write_all(fragment.as_bytes());
        }
        let mut units = [0u16; 2];
        for c in fragment.chars() {
            if matches!(c, ' '..='~') {
                out.write_all(&[c as u8])?;
                continue;
            }
            for unit in c.encode_utf16(&mut units) {
                write!(out, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }
}

/// The shortest digits that read back equal, with Python's choice between 0.0001 and 1e-05, and between
/// 1000000000000000.0 and 1e+16.
fn float_repr(value: f64) -> String {
    let scientific = format!("{value:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        return format!("{value:?}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_read_as_in_python() {
        let cases = [
            (0.0, "0.0"),
            (-2.0, "-2.0"),
            (0.1, "0.1"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.7976931348623157e308, "1.7976931348623157e+308"),
        ];
        for (value, text) in cases {
            assert_eq!(float_repr(value), text);
        }
    }

    #[test]
    fn empty_lists_and_objects_stay_on_their_line() {
        let value = serde_json::json!({"a": [], "b": {}, "c": [1, {"d": null}]});
        let style = Style {
            indent: Some(2),
            ..Style::default()
        };
        assert_eq!(
            dumps(&value, style).unwrap(),
            "{\n  \"a\": [],\n  \"b\": {},\n  \"c\": [\n    1,\n    {\n      \"d\": null\n    }\n  ]\n}"
        );
        assert_eq!(
            dumps(&value, Style::default()).unwrap(),
            "{\"a\": [], \"b\": {}, \"c\": [1, {\"d\": null}]}"
        );
    }
}
