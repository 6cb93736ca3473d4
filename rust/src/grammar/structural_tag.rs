//! Free text with structures in it. Where a trigger has been written, one of the structures that begin with
//! it must follow: its beginning, a value of its schema, its end; then the text is free again.
//!
//! Texts are lists of pieces, each a string or the id of a token that no text can stand for:
//! {"triggers": [text...], "structures": [{"begin": text, "schema": ..., "end": text}...],
//!  "free_text": whether there is any text between structures (true), else `separator` (a text) is there,
//!  "at_least": how many structures there must be, 0 or 1, "at_most_one": whether more may follow}

use serde_json::{Map, Value};

use super::{json_schema, lark};
use crate::failure::Failure;

const MAX_STRUCTURES: usize = 256;

#[derive(Clone, PartialEq)]
enum Piece {
    Text(String),
    Mark(u64),
}

struct Structure {
    begin: Vec<Piece>,
    schema: Value,
    end: Vec<Piece>,
}

fn wrong(place: &str, what: &str) -> Failure {
    Failure::Failed(format!("{place} {what}"))
}

fn pieces(value: Option<&Value>, place: &str) -> Result<Vec<Piece>, Failure> {
    let list = value.and_then(Value::as_array);
    let list = list.ok_or_else(|| wrong(place, "must be a list of pieces"))?;
    let mut out = Vec::new();
    for piece in list {
        match (piece.as_str(), piece.as_u64()) {
            (Some(""), _) => {}
            (Some(text), _) => out.push(Piece::Text(text.into())),
            (_, Some(id)) => out.push(Piece::Mark(id)),
            _ => return Err(wrong(place, "must be a list of strings and ids")),
        }
    }
    Ok(out)
}

fn structure(value: &mut Value, i: usize) -> Result<Structure, Failure> {
    let place = format!("structures[{i}]");
    let begin = pieces(value.get("begin"), &format!("{place}.begin"))?;
    let end = pieces(value.get("end"), &format!("{place}.end"))?;
    let mut schema = value
        .get_mut("schema")
        .map(Value::take)
        .unwrap_or(Value::Object(Map::new()));
    json_schema::prepare(&mut schema, &format!("{place}.schema"))?;
    Ok(Structure { begin, schema, end })
}

/// What of `begin` follows the trigger; None: it does not begin with it.
fn after_trigger(begin: &[Piece], trigger: &[Piece]) -> Option<Vec<Piece>> {
    let (last, first) = trigger.split_last()?;
    let rest = begin.strip_prefix(first)?;
    match (rest.first()?, last) {
        (Piece::Mark(a), Piece::Mark(b)) if a == b => Some(rest[1..].to_vec()),
        (Piece::Text(text), Piece::Text(start)) => {
            let left = text.strip_prefix(start.as_str())?;
            let mut out = rest[1..].to_vec();
            if !left.is_empty() {
                out.insert(0, Piece::Text(left.into()));
            }
            Some(out)
        }
        _ => None,
    }
}

fn written(pieces: &[Piece]) -> String {
    let each = pieces.iter().map(|piece| match piece {
        Piece::Text(text) => lark::literal(text),
        Piece::Mark(id) => format!("<[{id}]>"),
    });
    each.collect::<Vec<_>>().join(" ")
}

fn body(structure: &Structure, begin: &[Piece]) -> String {
    format!(
        "{} %json {} {}",
        written(begin),
        structure.schema,
        written(&structure.end)
    )
}

pub fn to_lark(mut source: Value) -> Result<String, Failure> {
    let mut structures = Vec::new();
    let list = source.get_mut("structures").and_then(Value::as_array_mut);
    let list = list.filter(|list| !list.is_empty() && list.len() <= MAX_STRUCTURES);
    let list = list.ok_or_else(|| {
        wrong(
            "structures",
            &format!("must be a list of 1 to {MAX_STRUCTURES} objects"),
        )
    })?;
    for (i, value) in list.iter_mut().enumerate() {
        structures.push(structure(value, i)?);
    }
    let at_least_one = source.get("at_least").and_then(Value::as_u64) == Some(1);
    let at_most_one = source.get("at_most_one") == Some(&Value::Bool(true));
    if source.get("free_text") == Some(&Value::Bool(false)) {
        let separator = pieces(source.get("separator"), "separator").unwrap_or_default();
        return Ok(without_text(&structures, &separator, at_least_one, at_most_one));
    }
    let empty = Vec::new();
    let listed = source.get("triggers").and_then(Value::as_array).unwrap_or(&empty);
    let mut triggers = Vec::new();
    for (i, value) in listed.iter().enumerate() {
        let place = format!("triggers[{i}]");
        let trigger = pieces(Some(value), &place)?;
        if trigger.len() != 1 {
            return Err(wrong(&place, "must be one text or one special token"));
        }
        triggers.push(trigger);
    }
    with_text(&structures, &triggers, at_least_one, at_most_one)
}

fn without_text(
    structures: &[Structure],
    separator: &[Piece],
    at_least_one: bool,
    at_most_one: bool,
) -> String {
    let bodies: Vec<String> = structures.iter().map(|one| body(one, &one.begin)).collect();
    let more = if at_most_one {
        String::new()
    } else {
        format!("({} one)*", written(separator))
    };
    let optional = if at_least_one { "" } else { "?" };
    format!("start: (one {more}){optional}\none: {}\n", bodies.join("\n | "))
}

fn with_text(
    structures: &[Structure],
    triggers: &[Vec<Piece>],
    at_least_one: bool,
    at_most_one: bool,
) -> Result<String, Failure> {
    let mut is_used = vec![false; structures.len()];
    let texts: Vec<String> = triggers
        .iter()
        .filter_map(|trigger| match &trigger[0] {
            Piece::Text(text) => Some(lark::literal(text)),
            Piece::Mark(_) => None,
        })
        .collect();
    let mut rules = String::new();
    let mut names = Vec::new();
    for (t, trigger) in triggers.iter().enumerate() {
        let mut bodies = Vec::new();
        for (i, one) in structures.iter().enumerate() {
            // Of several triggers that a structure begins with, the shortest comes first in the text.
            let Some(rest) = after_trigger(&one.begin, trigger) else {
                continue;
            };
            if std::mem::replace(&mut is_used[i], true) {
                return Err(wrong(
                    &format!("structures[{i}].begin"),
                    "begins with more than one of the triggers",
                ));
            }
            bodies.push(body(one, &rest));
        }
        if bodies.is_empty() {
            return Err(wrong(&format!("triggers[{t}]"), "begins none of the structures"));
        }
        match &trigger[0] {
            Piece::Text(text) => {
                rules.push_str(&format!("open_{t}[lazy]: /(.|\\n)*/ {}\n", lark::literal(text)));
            }
            Piece::Mark(id) => rules.push_str(&format!("open_{t}: FREE <[{id}]>\n")),
        }
        rules.push_str(&format!("tag_{t}: open_{t} ({})\n", bodies.join("\n | ")));
        names.push(format!("tag_{t}"));
    }
    if let Some(i) = is_used.iter().position(|used| !used) {
        return Err(wrong(
            &format!("structures[{i}].begin"),
            "begins with none of the triggers",
        ));
    }
    let free = match texts.is_empty() {
        true => "FREE: /(.|\\n)*/".to_owned(),
        false => format!(
            "FREE: /(.|\\n)*/ & ~(/(.|\\n)*/ ({}) /(.|\\n)*/)",
            texts.join(" | ")
        ),
    };
    let times = match (at_least_one, at_most_one) {
        (true, true) => "",
        (true, false) => "+",
        (false, true) => "?",
        (false, false) => "*",
    };
    Ok(format!(
        "start: ({}){times} FREE\n{free}\n{rules}",
        names.join(" | ")
    ))
}
