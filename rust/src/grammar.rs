//! What an answer may be, token by token: JSON schemas, regular expressions, choices, EBNF and structural
//! tags, matched by llguidance. Compiling is bounded in size, memory, stack and time (bounded.rs); a mask by
//! llguidance's own counts of work, because it is computed on the engine's threads.

mod ebnf;
mod json_schema;
mod lark;
mod structural_tag;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use llguidance::api::{ParserLimits, TopLevelGrammar};
use llguidance::earley::SlicedBiasComputer;
use llguidance::toktrie::{ApproximateTokEnv, InferenceCapabilities, TokRxInfo, TokTrie};
use llguidance::{Matcher as Engine, ParserFactory};
use serde_json::Value;

use crate::bounded::{self, Bounds, Stopped};
use crate::failure::Failure;

/// What the text of a grammar is; `erne_rs.h` has the same list.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Kind {
    JsonSchema = 0,
    Regex = 1,
    Choice = 2,
    Ebnf = 3,
    StructuralTag = 4,
}

/// A model's tokens as grammars see them.
pub struct Vocabulary {
    factory: ParserFactory,
    num_tokens: usize,
    runaways: AtomicUsize,
}

/// A compiled grammar: where every matcher of it begins.
pub struct Grammar {
    /// Shared by matchers, with the states of the lexer that they have built.
    shared: Engine,
    /// The same without such states: what a matcher begins anew with where the shared one has failed.
    fresh: Engine,
    num_tokens: usize,
    bytes: usize,
}

pub struct Matcher {
    grammar: Arc<Grammar>,
    engine: Engine,
    tokens: Vec<u32>,
    is_fresh: bool,
}

/// C may compile and match from any threads.
const _: () = {
    const fn is_shareable<T: Send + Sync>() {}
    is_shareable::<Vocabulary>();
    is_shareable::<Grammar>();
};

const MAX_BYTES: usize = 256 << 10;
const MAX_TIME: Duration = Duration::from_secs(2);
/// kMaxCompilingBytes of grammar.h.
const MAX_MEMORY: usize = 32 << 20;
/// What is recursive goes as deep as the text nests, or as one definition names the next.
const STACK: usize = 256 << 20;
/// Threads that may be left behind before nothing is compiled any more.
const MAX_RUNAWAYS: usize = 4;

/// llguidance's measures: about 14 units of a step's lexer fuel and 20 items are a microsecond, a state of
/// the lexer 1 to 2 KB.
const LIMITS: ParserLimits = ParserLimits {
    max_items_in_row: 2_000,
    initial_lexer_fuel: 1_000_000,
    step_lexer_fuel: 100_000,
    step_max_items: 50_000,
    max_lexer_states: 10_000,
    max_grammar_size: 200_000,
    precompute_large_lexemes: true,
    verbose_errors: false,
};

impl Vocabulary {
    /// `tokens`: what each adds to a text; None: nothing, or a mark that no text can stand for.
    pub fn new(tokens: &[Option<&[u8]>]) -> Result<Self, Failure> {
        let mut words: Vec<Vec<u8>> = tokens
            .iter()
            .enumerate()
            .map(|(id, token)| match token {
                // 0xFF is never in a text, and is how llguidance tells marks.
                Some(bytes) if !bytes.is_empty() && bytes[0] != 0xFF => bytes.to_vec(),
                Some(_) => Vec::new(),
                None => format!("\u{0}[{id}]").into_bytes(),
            })
            .collect();
        for (word, token) in words.iter_mut().zip(tokens) {
            if token.is_none() {
                word[0] = 0xFF;
            }
        }
        // llguidance wants one token that ends texts; ours stands behind all tokens of the model.
        let end = words.len() as u32;
        words.push(b"\xFF<end>".to_vec());
        let trie = TokTrie::from(&TokRxInfo::new(end + 1, end), &words);
        let env: llguidance::toktrie::TokEnv = Arc::new(ApproximateTokEnv::new(trie));
        let slices = SlicedBiasComputer::general_slices();
        let mut factory =
            ParserFactory::new(&env, InferenceCapabilities::default(), &slices).map_err(describe)?;
        *factory.limits_mut() = LIMITS;
        factory.quiet();
        Ok(Vocabulary {
            factory,
            num_tokens: tokens.len(),
            runaways: AtomicUsize::new(0),
        })
    }

    pub fn compile(self: &Arc<Self>, kind: Kind, text: &str) -> Result<Grammar, Failure> {
        if text.len() > MAX_BYTES {
            let bytes = text.len();
            return Err(Failure::Limit(format!(
                "it has {bytes} bytes; at most {MAX_BYTES} are allowed"
            )));
        }
        if self.runaways.load(Ordering::Relaxed) >= MAX_RUNAWAYS {
            return Err(Failure::Exhausted("others have not ended before".into()));
        }
        let bounds = Bounds {
            memory: MAX_MEMORY,
            stack: STACK,
            time: MAX_TIME,
        };
        let (vocabulary, owned) = (self.clone(), text.to_owned());
        let compiled = bounded::run(bounds, move || {
            let mut grammar = vocabulary.compile_unbounded(kind, &owned)?;
            drop(owned);
            grammar.bytes = bounded::held();
            Ok(grammar)
        });
        if matches!(compiled, Err(Stopped::Runaway)) {
            self.runaways.fetch_add(1, Ordering::Relaxed);
        }
        compiled.map_err(|why| Failure::of(why, "the grammar engine"))?
    }

    fn compile_unbounded(&self, kind: Kind, text: &str) -> Result<Grammar, Failure> {
        let grammar = match kind {
            Kind::JsonSchema => {
                let mut schema = parse_json(text)?;
                json_schema::prepare(&mut schema, "")?;
                TopLevelGrammar::from_json_schema(schema)
            }
            Kind::Regex => lark::regex(text)?,
            Kind::Choice => TopLevelGrammar::from_lark(lark::choice(&parse_json(text)?)?),
            Kind::Ebnf => TopLevelGrammar::from_lark(ebnf::to_lark(text)?),
            Kind::StructuralTag => TopLevelGrammar::from_lark(structural_tag::to_lark(parse_json(text)?)?),
        };
        let parser = self.factory.create_parser(grammar);
        let mut fresh = Engine::new(parser);
        if let Some(error) = fresh.get_error() {
            return Err(Failure::Failed(first_line(&error)));
        }
        fresh.consume_tokens(&[]).map_err(describe)?; // it may be complete already
        Ok(Grammar {
            shared: fresh.deep_clone(),
            fresh,
            num_tokens: self.num_tokens,
            bytes: 0,
        })
    }
}

impl Grammar {
    /// What it holds, without the lexer's states to come.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Matcher {
    pub fn new(grammar: Arc<Grammar>) -> Self {
        Matcher {
            engine: grammar.shared.clone(),
            grammar,
            tokens: Vec::new(),
            is_fresh: false,
        }
    }

    /// Writes which tokens may come: bit i % 32 of word i / 32 for token i. True: the text may end here, too.
    pub fn mask(&mut self, words: &mut [u32]) -> Result<bool, Failure> {
        let num_tokens = self.grammar.num_tokens;
        let mask = self.attempt(|engine| engine.compute_mask_or_eos())?;
        let bits = mask.as_slice();
        words.fill(0);
        for (word, from) in words.iter_mut().zip(bits) {
            *word = *from;
        }
        let last = num_tokens / 32;
        if last < words.len() {
            words[last] &= (1u32 << (num_tokens % 32)) - 1;
            words[last + 1..].fill(0);
        }
        Ok(bits[last] >> (num_tokens % 32) & 1 == 1)
    }

    pub fn accept(&mut self, tokens: &[u32]) -> Result<(), Failure> {
        self.attempt(|engine| engine.consume_tokens(tokens))?;
        self.tokens.extend_from_slice(tokens);
        Ok(())
    }

    pub fn rollback(&mut self, num_tokens: usize) -> Result<(), Failure> {
        if num_tokens > self.tokens.len() {
            return Err(Failure::Failed("more is taken back than there is".into()));
        }
        self.tokens.truncate(self.tokens.len() - num_tokens);
        if self.engine.is_error() || self.engine.rollback(num_tokens).is_err() {
            self.begin_anew()?;
        }
        Ok(())
    }

    /// The bytes that the text goes on with, whatever tokens they are in.
    pub fn forced(&mut self) -> Vec<u8> {
        if self.engine.is_stopped() {
            return Vec::new();
        }
        self.engine.compute_ff_bytes()
    }

    /// What fails with the shared states, which others may have brought to their limit, is done once more
    /// with states of its own: so it never depends on others whether a text can go on.
    fn attempt<T>(&mut self, work: impl Fn(&mut Engine) -> anyhow::Result<T>) -> Result<T, Failure> {
        let error = match work(&mut self.engine) {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        if self.is_fresh {
            return Err(describe(error));
        }
        self.begin_anew()?;
        work(&mut self.engine).map_err(describe)
    }

    fn begin_anew(&mut self) -> Result<(), Failure> {
        self.engine = self.grammar.fresh.deep_clone();
        self.is_fresh = true;
        self.engine.consume_tokens(&self.tokens).map_err(describe)
    }
}

fn parse_json(text: &str) -> Result<Value, Failure> {
    serde_json::from_str(text).map_err(|error| Failure::Failed(error.to_string()))
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

fn describe(error: anyhow::Error) -> Failure {
    Failure::Failed(first_line(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One token for each byte, then a few longer ones and a mark.
    fn vocabulary() -> Arc<Vocabulary> {
        let mut tokens: Vec<Option<Vec<u8>>> = (0..=255).map(|byte| Some(vec![byte])).collect();
        tokens.push(Some(b"true".to_vec()));
        tokens.push(Some(b"{\"a\":".to_vec()));
        tokens.push(None);
        let borrowed: Vec<Option<&[u8]>> = tokens.iter().map(|token| token.as_deref()).collect();
        Arc::new(Vocabulary::new(&borrowed).unwrap_or_else(|_| panic!("no vocabulary")))
    }

    fn compile(kind: Kind, text: &str) -> Result<Arc<Grammar>, String> {
        match vocabulary().compile(kind, text) {
            Ok(grammar) => Ok(Arc::new(grammar)),
            Err(failure) => Err(failure.text()),
        }
    }

    /// Whether the grammar takes the text to its end, byte by byte.
    fn takes(grammar: &Arc<Grammar>, text: &str) -> bool {
        let mut matcher = Matcher::new(grammar.clone());
        let mut words = [0u32; 9];
        for byte in text.bytes() {
            let may_come =
                matcher.mask(&mut words).is_ok() && words[byte as usize / 32] >> (byte % 32) & 1 == 1;
            if !may_come || matcher.accept(&[byte.into()]).is_err() {
                return false;
            }
        }
        matcher.mask(&mut words).unwrap_or(false)
    }

    #[track_caller]
    fn check(kind: Kind, text: &str, good: &[&str], bad: &[&str]) {
        let grammar = compile(kind, text).unwrap_or_else(|error| panic!("{error}"));
        for text in good {
            assert!(takes(&grammar, text), "{text:?} should be taken");
        }
        for text in bad {
            assert!(!takes(&grammar, text), "{text:?} should not be taken");
        }
    }

    #[test]
    fn each_kind_takes_its_texts() {
        check(
            Kind::JsonSchema,
            r#"{"type":"object","properties":{"a":{"type":"boolean"}},"required":["a"],"additionalProperties":false}"#,
            &[r#"{"a":true}"#, "{\n  \"a\": false\n}"],
            &[
                "{}",
                r#"{  "a":true}"#,
                r#"{"a":1}"#,
                r#"{"a":true,"b":1}"#,
                r#"{"a":true} "#,
            ],
        );
        check(
            Kind::Regex,
            "[0-9]{2}/x|y",
            &["12/x", "y"],
            &["1/x", "12/", "yy", ""],
        );
        check(
            Kind::Choice,
            r#"["a","ab","x\ny\u007f"]"#,
            &["a", "ab", "x\ny\u{7f}"],
            &["b", "aba", ""],
        );
        check(
            Kind::StructuralTag,
            r#"{"triggers":[["<f="]],"structures":[{"begin":["<f=g>"],"schema":{"type":"boolean"},"end":["</f>"]}]}"#,
            &["no tag", "", "a <f=g>true</f> b<f=g>false</f>", "a < f="],
            &["<f=h>true</f>", "<f=g>1</f>", "a <f=g>true"],
        );
    }

    #[test]
    fn marks_and_texts_are_never_taken_for_each_other() {
        let text = r#"{"triggers":[[258]],"structures":[{"begin":[258,"x"],"schema":true,"end":[258]}]}"#;
        let grammar = compile(Kind::StructuralTag, text).unwrap();
        let mut matcher = Matcher::new(grammar.clone());
        let mut words = [0u32; 9];
        assert!(matches!(matcher.mask(&mut words), Ok(true)));
        assert_eq!(words[8] & 0b111, 0b111); // true, {"a":, the mark
        assert!(matcher.accept(&[258]).is_ok());
        assert!(matches!(matcher.mask(&mut words), Ok(false)));
        assert_eq!(words[8], 0);
        assert_eq!(words[u8::from(b'x') as usize / 32], 1 << (b'x' % 32));
        assert!(takes(&grammar, "[258]"));
    }

    #[test]
    fn what_was_taken_back_leaves_no_trace() {
        let schema = r#"{"type":"object","properties":{"a":{"type":"array","items":{"enum":[true,"x"]}}}}"#;
        let grammar = compile(Kind::JsonSchema, schema).unwrap();
        let (mut words, mut again) = ([0u32; 9], [0u32; 9]);
        let mut matcher = Matcher::new(grammar.clone());
        assert!(matcher.accept(&[257]).is_ok());
        assert!(matcher.mask(&mut words).is_ok());
        for text in ["[tr", "[true,\"x\"]}", "["] {
            let tokens: Vec<u32> = text.bytes().map(u32::from).collect();
            assert!(matcher.accept(&tokens).is_ok());
            assert!(matcher.mask(&mut again).is_ok());
            assert!(matcher.rollback(tokens.len()).is_ok());
            assert!(matcher.mask(&mut again).is_ok());
            assert_eq!(words, again, "{text}");
        }
        assert!(matcher.rollback(2).is_err());
    }

    #[test]
    fn bytes_without_a_choice_are_known() {
        let schema = r#"{"type":"object","properties":{"name":{"const":7}},"required":["name"],"additionalProperties":false}"#;
        let mut matcher = Matcher::new(compile(Kind::JsonSchema, schema).unwrap());
        assert_eq!(matcher.forced(), b"{");
        let tokens: Vec<u32> = b"{\"".iter().map(|byte| u32::from(*byte)).collect();
        assert!(matcher.accept(&tokens).is_ok());
        assert_eq!(matcher.forced(), b"name\"");
    }

    #[test]
    fn what_is_wrong_has_its_place() {
        let refused = |kind, text| compile(kind, text).err().unwrap_or_default();
        println!("{}", refused(Kind::Regex, "a("));
        assert!(refused(Kind::Regex, "a(").contains("unclosed group"));
        assert!(refused(Kind::Regex, "a(?=b)").contains("look-around"));
        assert!(refused(Kind::Ebnf, "root ::= \"a\" |\nother").contains("line 2"));
        assert!(refused(Kind::Choice, "[1]").contains("[0]"));
        assert!(
            refused(
                Kind::StructuralTag,
                r#"{"triggers":[["<"]],"structures":[{"begin":["<a"],"schema":{"type":5},"end":[]}]}"#
            )
            .starts_with("structures[0].schema.type")
        );
    }

    /// What a schema and its instances of JSON-Schema-Test-Suite come to here.
    #[derive(Debug, Default, PartialEq)]
    struct Judged {
        refused: usize,
        enforced: usize,
        good_taken: usize,
        good_refused: usize,
        bad_taken: usize,
        bad_refused: usize,
    }

    fn judge(groups: &Value, judged: &mut Judged) {
        for group in groups.as_array().unwrap() {
            let Ok(grammar) = compile(Kind::JsonSchema, &group["schema"].to_string()) else {
                judged.refused += 1;
                continue;
            };
            judged.enforced += 1;
            for instance in group["tests"].as_array().unwrap() {
                let is_taken = takes(&grammar, &instance["data"].to_string());
                let count = match (instance["valid"] == Value::Bool(true), is_taken) {
                    (true, true) => &mut judged.good_taken,
                    (true, false) => &mut judged.good_refused,
                    (false, true) => &mut judged.bad_taken,
                    (false, false) => &mut judged.bad_refused,
                };
                *count += 1;
                if is_taken && instance["valid"] == Value::Bool(false) {
                    println!("taken though wrong: {} {}", group["schema"], instance["data"]);
                }
            }
        }
    }

    /// `SUITE=.../tests/draft2020-12 cargo test --release -- --ignored --nocapture suite`: the figures of
    /// docs/api.md, from the files of the PyPI package jsonschema (its source distribution).
    #[test]
    #[ignore]
    fn the_suite_of_json_schema() {
        let mut all = Judged::default();
        for entry in std::fs::read_dir(std::env::var("SUITE").unwrap()).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "json") {
                let mut judged = Judged::default();
                let groups = parse_json(&std::fs::read_to_string(&path).unwrap());
                judge(&groups.unwrap_or_default(), &mut judged);
                println!("{:?} {judged:?}", path.file_name().unwrap());
                judge(
                    &parse_json(&std::fs::read_to_string(&path).unwrap()).unwrap_or_default(),
                    &mut all,
                );
            }
        }
        println!("{all:?}");
        assert_eq!(all.bad_taken, 0);
    }

    #[test]
    fn bombs_end_within_their_bounds() {
        let nested = |open: &str, close: &str, n| open.repeat(n) + "1" + &close.repeat(n);
        for (kind, text) in [
            (Kind::Regex, "(((a{1,999}){1,999}){1,999}){1,999}".into()),
            (Kind::Regex, nested("(", ")", 30_000)),
            (Kind::Regex, "(a?){500}".repeat(40)),
            (Kind::JsonSchema, nested(r#"{"items":"#, "}", 5_000)),
            (Kind::Ebnf, "root ::= ".to_owned() + &nested("(", ")", 30_000)),
            (
                Kind::Ebnf,
                "root ::= a{9999}\na ::= b{9999}\nb ::= \"x\"{9999}".into(),
            ),
            (Kind::Choice, "x".repeat(MAX_BYTES + 1)),
        ] {
            let begin = std::time::Instant::now();
            let _ = compile(kind, &text);
            assert!(begin.elapsed() < 3 * MAX_TIME, "{kind:?} {}", &text[..40]);
        }
    }
}
