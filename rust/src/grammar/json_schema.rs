//! JSON schemas before llguidance sees them: what it would ignore, or refuse without a place, is refused
//! here with the place. A place reads like the schema's own path: `properties.name.type`, `anyOf[1]`.

use llguidance::derivre::RegexBuilder;
use llguidance::regex_to_lark;
use serde_json::{Map, Value, json};

use super::lark;
use crate::failure::Failure;

/// What a keyword's value must be.
#[derive(Clone, Copy, PartialEq)]
enum Shape {
    Schema,
    /// A list of at least one.
    Schemas,
    SchemasByName,
    SchemasByPattern,
    /// A schema, or before draft 2020-12 a list of them.
    Items,
    Count,
    Number,
    /// A number, or in draft 4 a boolean.
    Bound,
    Pattern,
    Format,
    Type,
    Names,
    Values,
    Reference,
    Anything,
}

const KEYWORDS: &[(&str, Shape)] = &[
    ("type", Shape::Type),
    ("enum", Shape::Values),
    ("const", Shape::Anything),
    ("anyOf", Shape::Schemas),
    ("oneOf", Shape::Schemas),
    ("allOf", Shape::Schemas),
    ("$ref", Shape::Reference),
    ("$defs", Shape::SchemasByName),
    ("definitions", Shape::SchemasByName),
    ("properties", Shape::SchemasByName),
    ("patternProperties", Shape::SchemasByPattern),
    ("additionalProperties", Shape::Schema),
    ("required", Shape::Names),
    ("minProperties", Shape::Count),
    ("maxProperties", Shape::Count),
    ("items", Shape::Items),
    ("prefixItems", Shape::Schemas),
    ("additionalItems", Shape::Schema),
    ("minItems", Shape::Count),
    ("maxItems", Shape::Count),
    ("minLength", Shape::Count),
    ("maxLength", Shape::Count),
    ("pattern", Shape::Pattern),
    ("format", Shape::Format),
    ("minimum", Shape::Number),
    ("maximum", Shape::Number),
    ("exclusiveMinimum", Shape::Bound),
    ("exclusiveMaximum", Shape::Bound),
    ("multipleOf", Shape::Number),
];

/// They say what people should know and nothing about what a text may be.
const ANNOTATIONS: &[&str] = &[
    "title",
    "description",
    "default",
    "examples",
    "example",
    "deprecated",
    "readOnly",
    "writeOnly",
    "$comment",
    "$schema",
    "$id",
    "$anchor",
    "contentMediaType",
    "contentEncoding",
];

const TYPES: &[&str] = &[
    "null", "boolean", "integer", "number", "string", "array", "object",
];
const FORMATS: &[&str] = &[
    "date-time",
    "time",
    "date",
    "duration",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "uuid",
    "uri",
];

const MAX_DEPTH: usize = 64;
const MAX_SCHEMAS: usize = 10_000;
const MAX_VALUES: usize = 10_000; // of an enum
/// Between a value's parts, as printers of JSON put it there; a model that is unsure would go on with white
/// space for ever.
const WHITE_SPACE: &str = r"\x20|\x0A\x20{0,16}";

/// Checks a schema, which is called `place` in messages, and adds how its texts are written.
pub fn prepare(schema: &mut Value, place: &str) -> Result<(), Failure> {
    let mut walk = Walk { num_schemas: 0 };
    walk.schema(schema, place, 0)?;
    references(schema, schema, place)?;
    if let Value::Bool(allowed) = schema {
        *schema = if *allowed { json!({}) } else { json!({"enum": []}) };
    }
    if let Value::Object(members) = schema {
        members.insert("x-guidance".into(), json!({"whitespace_pattern": WHITE_SPACE}));
    }
    Ok(())
}

struct Walk {
    num_schemas: usize,
}

fn wrong(place: &str, what: impl AsRef<str>) -> Failure {
    let place = if place.is_empty() { "the schema" } else { place };
    Failure::Failed(format!("{place} {}", what.as_ref()))
}

fn member(place: &str, name: &str) -> String {
    let short: String = name.chars().take(60).collect();
    if place.is_empty() {
        short
    } else {
        format!("{place}.{short}")
    }
}

impl Walk {
    fn schema(&mut self, schema: &mut Value, place: &str, depth: usize) -> Result<(), Failure> {
        self.num_schemas += 1;
        if depth > MAX_DEPTH || self.num_schemas > MAX_SCHEMAS {
            return Err(Failure::Limit(format!(
                "it has more than {MAX_SCHEMAS} schemas, or more than {MAX_DEPTH} one in another"
            )));
        }
        match schema {
            Value::Bool(_) => Ok(()),
            Value::Object(members) => self.members(members, place, depth),
            _ => Err(wrong(place, "must be an object or a boolean")),
        }
    }

    fn members(&mut self, schema: &mut Map<String, Value>, place: &str, depth: usize) -> Result<(), Failure> {
        schema.retain(|name, value| !says_nothing(name, value));
        for (name, value) in schema.iter_mut() {
            let here = member(place, name);
            let keyword = KEYWORDS.iter().find(|(keyword, _)| keyword == name);
            let Some((_, shape)) = keyword else {
                if ANNOTATIONS.contains(&name.as_str()) {
                    continue;
                }
                return Err(wrong(
                    &here,
                    "is a keyword that is not enforced here: leave it out",
                ));
            };
            self.value(value, *shape, &here, depth)?;
        }
        Ok(())
    }

    fn value(&mut self, value: &mut Value, shape: Shape, place: &str, depth: usize) -> Result<(), Failure> {
        match shape {
            Shape::Schema => self.schema(value, place, depth + 1),
            Shape::Items if value.is_array() => self.schemas(value, place, depth),
            Shape::Items => self.schema(value, place, depth + 1),
            Shape::Schemas => self.schemas(value, place, depth),
            Shape::SchemasByName | Shape::SchemasByPattern => {
                let Value::Object(members) = value else {
                    return Err(wrong(place, "must be an object of schemas"));
                };
                for (name, value) in members.iter_mut() {
                    let here = member(place, name);
                    if shape == Shape::SchemasByPattern {
                        check_pattern(name, &here)?;
                    }
                    self.schema(value, &here, depth + 1)?;
                }
                Ok(())
            }
            _ => check_plain(value, shape, place),
        }
    }

    fn schemas(&mut self, value: &mut Value, place: &str, depth: usize) -> Result<(), Failure> {
        let Some(list) = value.as_array_mut().filter(|list| !list.is_empty()) else {
            return Err(wrong(place, "must be a list of at least one schema"));
        };
        for (i, schema) in list.iter_mut().enumerate() {
            self.schema(schema, &format!("{place}[{i}]"), depth + 1)?;
        }
        Ok(())
    }
}

/// Extensions of tools, and keywords with the value that asks for nothing.
fn says_nothing(name: &str, value: &Value) -> bool {
    name.starts_with("x-")
        || (name == "uniqueItems" && *value == Value::Bool(false))
        || name == "deprecated"
        || name == "example"
}

fn check_plain(value: &Value, shape: Shape, place: &str) -> Result<(), Failure> {
    let is_right = match shape {
        Shape::Count => value.as_u64().is_some_and(|count| count <= 1 << 20),
        Shape::Number => value.is_number(),
        Shape::Bound => value.is_number() || value.is_boolean(),
        Shape::Names => value
            .as_array()
            .is_some_and(|names| names.iter().all(Value::is_string)),
        Shape::Values => value
            .as_array()
            .is_some_and(|list| !list.is_empty() && list.len() <= MAX_VALUES),
        Shape::Type => match value {
            Value::Array(types) => !types.is_empty() && types.iter().all(is_type),
            one => is_type(one),
        },
        Shape::Format => value.as_str().is_some_and(|name| FORMATS.contains(&name)),
        Shape::Pattern => {
            let pattern = value.as_str().ok_or_else(|| wrong(place, "must be a string"))?;
            return check_pattern(pattern, place);
        }
        Shape::Reference => value.is_string(),
        _ => true,
    };
    if is_right {
        return Ok(());
    }
    let allowed = match shape {
        Shape::Count => "must be a whole number from 0 to 1048576".into(),
        Shape::Number => "must be a number".into(),
        Shape::Bound => "must be a number or a boolean".into(),
        Shape::Names => "must be a list of strings".into(),
        Shape::Values => format!("must be a list of 1 to {MAX_VALUES} values"),
        Shape::Type => format!("must be one of {}, or a list of some", TYPES.join(", ")),
        Shape::Format => format!("must be one of {}", FORMATS.join(", ")),
        _ => "must be a string".into(),
    };
    Err(wrong(place, allowed))
}

fn is_type(value: &Value) -> bool {
    value.as_str().is_some_and(|name| TYPES.contains(&name))
}

fn check_pattern(pattern: &str, place: &str) -> Result<(), Failure> {
    let checked = RegexBuilder::new().mk_regex_for_serach(&regex_to_lark(pattern, "dw"));
    checked
        .map(|_| ())
        .map_err(|error| wrong(place, lark::about_regex(&error)))
}

/// A reference is to a place in this document: nothing is ever fetched.
fn references(part: &Value, whole: &Value, place: &str) -> Result<(), Failure> {
    match part {
        Value::Object(members) => {
            for (name, value) in members {
                // What these hold are values, not schemas.
                if ["enum", "const", "default", "examples"].contains(&name.as_str()) {
                    continue;
                }
                let here = member(place, name);
                match value.as_str() {
                    Some(target) if name == "$ref" => check_reference(target, whole, &here)?,
                    _ => references(value, whole, &here)?,
                }
            }
            Ok(())
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(i, item)| references(item, whole, &format!("{place}[{i}]"))),
        _ => Ok(()),
    }
}

fn check_reference(target: &str, whole: &Value, place: &str) -> Result<(), Failure> {
    if target == "#" {
        return Ok(());
    }
    let Some(pointer) = target.strip_prefix("#/") else {
        return Err(wrong(
            place,
            "must be # or begin with #/: nothing is fetched from elsewhere",
        ));
    };
    if pointer.contains('%') || whole.pointer(&format!("/{pointer}")).is_some() {
        return Ok(());
    }
    Err(wrong(place, "points to nothing in the schema"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(schema: Value, sentence: &str) {
        let mut schema = schema;
        let text = prepare(&mut schema, "")
            .err()
            .map(Failure::text)
            .unwrap_or_default();
        assert!(text.contains(sentence), "{text:?}");
    }

    #[test]
    fn what_cannot_be_enforced_is_refused_with_its_place() {
        let in_a = |schema: Value| json!({"properties": {"a": schema}});
        refused(
            in_a(json!({"not": {}})),
            "properties.a.not is a keyword that is not enforced",
        );
        refused(in_a(json!({"uniqueItems": true})), "properties.a.uniqueItems");
        refused(in_a(json!({"typ": "string"})), "properties.a.typ");
        refused(in_a(json!(5)), "properties.a must be an object or a boolean");
        refused(
            in_a(json!({"type": "text"})),
            "properties.a.type must be one of null",
        );
        refused(
            in_a(json!({"format": "color"})),
            "properties.a.format must be one of date-time",
        );
        refused(
            in_a(json!({"pattern": "a("})),
            "properties.a.pattern is no regular expression",
        );
        refused(
            in_a(json!({"maxLength": -1})),
            "properties.a.maxLength must be a whole number",
        );
        refused(
            json!({"anyOf": [true, {"minimum": "1"}]}),
            "anyOf[1].minimum must be a number",
        );
        refused(
            json!({"$ref": "https://example.org/s"}),
            "$ref must be # or begin with #/",
        );
        refused(json!({"$ref": "#/$defs/a"}), "$ref points to nothing");
        refused(json!({"allOf": []}), "allOf must be a list of at least one");
    }

    #[test]
    fn what_says_nothing_is_taken() {
        let mut schema = json!({"title": "T", "x-order": 1, "x-guidance": {"lenient": true}, "deprecated": true,
            "properties": {"not": {"enum": [{"not": 1}]}, "b": {"$ref": "#/$defs/b"}}, "uniqueItems": false, "$defs": {"b": true}});
        assert!(prepare(&mut schema, "").is_ok());
        assert_eq!(schema["x-guidance"]["lenient"], Value::Null);
        assert_eq!(schema.get("x-order"), None);
    }
}
