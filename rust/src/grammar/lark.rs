//! Pieces of Lark, the notation in which llguidance takes grammars.

use llguidance::api::TopLevelGrammar;
use llguidance::derivre::RegexBuilder;
use llguidance::regex_to_lark;
use serde_json::Value;

use crate::failure::Failure;

/// A text as a literal.
pub fn literal(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c < ' ' || c == '\u{7f}' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// What is wrong with a regular expression: the last line says it, those before show the place.
pub fn about_regex(error: &anyhow::Error) -> String {
    let text = error.to_string();
    let last = text
        .lines()
        .rfind(|line| !line.trim().is_empty())
        .unwrap_or_default();
    format!("is no regular expression that can be enforced: {}", last.trim())
}

/// A text that is what a regular expression says, as Python reads it.
pub fn regex(pattern: &str) -> Result<TopLevelGrammar, Failure> {
    let checked = RegexBuilder::new().mk_regex(&regex_to_lark(pattern, ""));
    checked.map_err(|error| Failure::Failed(format!("it {}", about_regex(&error))))?;
    Ok(TopLevelGrammar::from_regex(pattern))
}

/// One of a list of texts.
pub fn choice(texts: &Value) -> Result<String, Failure> {
    let wrong = |what: String| Failure::Failed(what);
    let list = texts.as_array().filter(|list| !list.is_empty());
    let list = list.ok_or_else(|| wrong("must be a list of at least one string".into()))?;
    let mut literals = Vec::new();
    for (i, text) in list.iter().enumerate() {
        let text = text.as_str().filter(|text| !text.is_empty());
        let text = text.ok_or_else(|| wrong(format!("[{i}] must be a string that is not empty")))?;
        literals.push(literal(text));
    }
    Ok(format!("start: {}\n", literals.join(" | ")))
}
