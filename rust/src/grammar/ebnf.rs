//! Grammars in the notation that FastDeploy and vLLM take: `name ::= alternatives`, texts in
//! quotes, classes `[a-z]`, groups, `*`, `+`, `?`, `{2,5}`, comments after `#`; the rule `root` begins.
//!
//! llguidance reads a text as lexemes, each as long as it can be, and lexemes by rules. So what contains no
//! recursion becomes one lexeme, and is exact; where recursion meets it, a lexeme takes all it can.

use std::collections::HashMap;

use super::lark;
use crate::failure::Failure;

#[derive(Debug, Clone)]
enum Node {
    Text(String),
    /// As inside `/[...]/`, with the brackets.
    Class(String),
    Rule(usize),
    Sequence(Vec<Node>),
    Choice(Vec<Node>),
    /// At least so often, and at most.
    Repeat(Box<Node>, u32, Option<u32>),
}

const MAX_DEPTH: usize = 100;
const MAX_RULES: usize = 2_000;
const MAX_TIMES: u32 = 10_000;

pub fn to_lark(source: &str) -> Result<String, Failure> {
    let mut parser = Parser {
        rest: source,
        source,
        names: HashMap::new(),
        rules: Vec::new(),
        depth: 0,
    };
    parser.grammar()?;
    Writer::new(parser.rules).write(parser.names["root"])
}

struct Rule {
    name: String,
    /// None: it has been named and not yet defined.
    body: Option<Node>,
    line: usize,
}

struct Parser<'a> {
    rest: &'a str,
    source: &'a str,
    names: HashMap<String, usize>,
    rules: Vec<Rule>,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn line(&self) -> usize {
        1 + self.source[..self.source.len() - self.rest.len()]
            .matches('\n')
            .count()
    }

    fn wrong<T>(&self, what: impl AsRef<str>) -> Result<T, Failure> {
        Err(Failure::Failed(format!(
            "line {}: {}",
            self.line(),
            what.as_ref()
        )))
    }

    fn skip_space(&mut self) {
        loop {
            self.rest = self.rest.trim_start();
            if !self.rest.starts_with('#') {
                return;
            }
            self.rest = self.rest.find('\n').map_or("", |end| &self.rest[end..]);
        }
    }

    fn take(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// A name at the beginning of the rest, and what follows it.
    fn peek_name(&self) -> Option<(&'a str, &'a str)> {
        let is_first = |c: char| c.is_ascii_alphabetic() || c == '_';
        if !self.rest.starts_with(is_first) {
            return None;
        }
        let is_part = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        let length = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        Some(self.rest.split_at(length))
    }

    fn begins_rule(&self) -> bool {
        self.peek_name()
            .is_some_and(|(_, after)| after.trim_start().starts_with("::="))
    }

    fn rule_index(&mut self, name: &str) -> Result<usize, Failure> {
        if let Some(index) = self.names.get(name) {
            return Ok(*index);
        }
        if self.rules.len() >= MAX_RULES {
            return self.wrong(format!("there are more than {MAX_RULES} rules"));
        }
        let index = self.rules.len();
        self.names.insert(name.to_owned(), index);
        let (name, line) = (name.to_owned(), self.line());
        self.rules.push(Rule {
            name,
            body: None,
            line,
        });
        Ok(index)
    }

    fn grammar(&mut self) -> Result<(), Failure> {
        self.skip_space();
        while !self.rest.is_empty() {
            let Some((name, after)) = self.peek_name().filter(|_| self.begins_rule()) else {
                return self.wrong("a rule is expected: name ::= ...");
            };
            let index = self.rule_index(name)?;
            if self.rules[index].body.is_some() {
                return self.wrong(format!("the rule {name} is defined twice"));
            }
            self.rest = &after.trim_start()["::=".len()..];
            self.rules[index].body = Some(self.choice()?);
            self.skip_space();
            self.take(";");
            self.skip_space();
        }
        for rule in &self.rules {
            if rule.body.is_none() {
                let (line, name) = (rule.line, &rule.name);
                return Err(Failure::Failed(format!("line {line}: there is no rule {name}")));
            }
        }
        match self.names.contains_key("root") {
            true => Ok(()),
            false => Err(Failure::Failed(
                "there is no rule root, which begins a text".into(),
            )),
        }
    }

    fn choice(&mut self) -> Result<Node, Failure> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.wrong(format!("more than {MAX_DEPTH} groups are one in another"));
        }
        let mut options = vec![self.sequence()?];
        while self.take("|") {
            options.push(self.sequence()?);
        }
        self.depth -= 1;
        Ok(match options.len() {
            1 => options.remove(0),
            _ => Node::Choice(options),
        })
    }

    fn sequence(&mut self) -> Result<Node, Failure> {
        let mut items = Vec::new();
        self.skip_space();
        while !self.rest.is_empty() && !self.rest.starts_with(['|', ')', ';']) && !self.begins_rule() {
            let item = self.item()?;
            items.push(self.repeated(item)?);
            self.skip_space();
        }
        Ok(Node::Sequence(items))
    }

    fn item(&mut self) -> Result<Node, Failure> {
        if self.take("(") {
            if self.rest.trim_start().starts_with('=') {
                return self.wrong("a lookahead (= ...) cannot be enforced");
            }
            let inner = self.choice()?;
            return match self.take(")") {
                true => Ok(inner),
                false => self.wrong("a group is not closed with )"),
            };
        }
        if self.rest.starts_with(['"', '\'']) {
            return self.text();
        }
        if self.take("[") {
            return self.class();
        }
        if self.take(".") {
            return Ok(Node::Class("[^\\n]".into()));
        }
        let Some((name, after)) = self.peek_name() else {
            let found: String = self.rest.chars().take(10).collect();
            return self.wrong(format!("{found:?} is not understood"));
        };
        let index = self.rule_index(name)?;
        self.rest = after;
        Ok(Node::Rule(index))
    }

    fn repeated(&mut self, mut item: Node) -> Result<Node, Failure> {
        loop {
            item = if self.take("*") {
                Node::Repeat(item.into(), 0, None)
            } else if self.take("+") {
                Node::Repeat(item.into(), 1, None)
            } else if self.take("?") {
                Node::Repeat(item.into(), 0, Some(1))
            } else if self.take("{") {
                let (least, most) = self.times()?;
                Node::Repeat(item.into(), least, most)
            } else {
                return Ok(item);
            }
        }
    }

    /// After `{`: `2}`, `2,}`, `2,5}`.
    fn times(&mut self) -> Result<(u32, Option<u32>), Failure> {
        let Some(end) = self.rest.find('}') else {
            return self.wrong("{ is not closed with }");
        };
        let (inside, rest) = self.rest.split_at(end);
        let number = |text: &str| {
            text.trim()
                .parse::<u32>()
                .ok()
                .filter(|times| *times <= MAX_TIMES)
        };
        let times = match inside.split_once(',') {
            None => number(inside).map(|times| (times, Some(times))),
            Some((least, most)) if most.trim().is_empty() => number(least).map(|least| (least, None)),
            Some((least, most)) => number(least)
                .zip(number(most))
                .map(|(least, most)| (least, Some(most))),
        };
        match times.filter(|(least, most)| most.is_none_or(|most| *least <= most)) {
            Some(times) => {
                self.rest = &rest[1..];
                Ok(times)
            }
            None => self.wrong(format!(
                "{{...}} must be how often: n, n, or n,m, up to {MAX_TIMES}"
            )),
        }
    }

    fn character(&mut self) -> Result<char, Failure> {
        let mut chars = self.rest.chars();
        let Some(c) = chars.next() else {
            return self.wrong("the grammar ends inside quotes or brackets");
        };
        self.rest = chars.as_str();
        if c != '\\' {
            return Ok(c);
        }
        let Some(escaped) = chars.next() else {
            return self.wrong("\\ stands at the end");
        };
        self.rest = chars.as_str();
        let digits = match escaped {
            'n' => return Ok('\n'),
            'r' => return Ok('\r'),
            't' => return Ok('\t'),
            'x' => 2,
            'u' => 4,
            'U' => 8,
            other if other.is_ascii_alphanumeric() => {
                return self.wrong(format!("\\{other} is not understood"));
            }
            other => return Ok(other),
        };
        let code = self
            .rest
            .get(..digits)
            .and_then(|hex| u32::from_str_radix(hex, 16).ok());
        match code.and_then(char::from_u32) {
            Some(c) => {
                self.rest = &self.rest[digits..];
                Ok(c)
            }
            None => self.wrong(format!(
                "\\{escaped} needs {digits} hexadecimal digits of a character"
            )),
        }
    }

    fn text(&mut self) -> Result<Node, Failure> {
        let quote = if self.rest.starts_with('"') { "\"" } else { "'" };
        self.take(quote);
        let mut text = String::new();
        while !self.take(quote) {
            text.push(self.character()?);
        }
        Ok(Node::Text(text))
    }

    /// After `[`.
    fn class(&mut self) -> Result<Node, Failure> {
        let mut out = String::from(if self.take("^") { "[^" } else { "[" });
        let mut is_empty = true;
        while !self.take("]") {
            let first = self.character()?;
            out.push_str(&in_class(first));
            is_empty = false;
            if self.rest.starts_with('-') && !self.rest.starts_with("-]") {
                self.take("-");
                let last = self.character()?;
                if last < first {
                    return self.wrong(format!("[{first}-{last}] is empty"));
                }
                out.push('-');
                out.push_str(&in_class(last));
            }
        }
        if is_empty {
            return self.wrong("[] is empty");
        }
        out.push(']');
        Ok(Node::Class(out))
    }
}

/// A character in a class of a regular expression between slashes.
fn in_class(c: char) -> String {
    match c {
        c if c.is_ascii_alphanumeric() || !c.is_ascii() => c.into(),
        c => format!("\\x{:02x}", c as u32),
    }
}

struct Writer {
    rules: Vec<Rule>,
    is_recursive: Vec<bool>,
    lexemes: String,
    num_lexemes: usize,
}

impl Writer {
    fn new(rules: Vec<Rule>) -> Self {
        let uses: Vec<Vec<usize>> = rules.iter().map(|rule| used_rules(rule.body.as_ref())).collect();
        Writer {
            is_recursive: recursive(&uses),
            rules,
            lexemes: String::new(),
            num_lexemes: 0,
        }
    }

    fn write(mut self, root: usize) -> Result<String, Failure> {
        let mut out = String::new();
        let rules = std::mem::take(&mut self.rules);
        for (i, rule) in rules.iter().enumerate() {
            let Some(body) = &rule.body else { continue };
            if self.is_recursive[i] {
                let written = self.rule(body);
                out.push_str(&format!("r{i}: {written}\n"));
            } else {
                out.push_str(&format!("T{i}: {}\n", lexeme(body)));
            }
        }
        let start = self.name(root);
        Ok(format!("start: {start}\n{out}{}", self.lexemes))
    }

    fn name(&self, rule: usize) -> String {
        format!("{}{rule}", if self.is_recursive[rule] { "r" } else { "T" })
    }

    fn is_lexeme(&self, node: &Node) -> bool {
        match node {
            Node::Text(_) | Node::Class(_) => true,
            Node::Rule(rule) => !self.is_recursive[*rule],
            Node::Sequence(items) | Node::Choice(items) => items.iter().all(|item| self.is_lexeme(item)),
            Node::Repeat(item, ..) => self.is_lexeme(item),
        }
    }

    /// A node of a recursive rule: what of it is not recursive becomes lexemes with names.
    fn rule(&mut self, node: &Node) -> String {
        if self.is_lexeme(node) {
            self.num_lexemes += 1;
            let name = format!("L{}", self.num_lexemes);
            self.lexemes.push_str(&format!("{name}: {}\n", lexeme(node)));
            return name;
        }
        match node {
            Node::Rule(rule) => self.name(*rule),
            Node::Choice(options) => {
                let written: Vec<String> = options.iter().map(|option| self.rule(option)).collect();
                format!("({})", written.join(" | "))
            }
            Node::Sequence(items) => {
                let runs: Vec<&[Node]> = items
                    .chunk_by(|a, b| self.is_lexeme(a) && self.is_lexeme(b))
                    .collect();
                let written: Vec<String> = runs
                    .into_iter()
                    .map(|run| match run {
                        [one] => self.rule(one),
                        several => self.rule(&Node::Sequence(several.to_vec())),
                    })
                    .collect();
                format!("({})", written.join(" "))
            }
            Node::Repeat(item, least, most) => format!("({}){}", self.rule(item), times(*least, *most)),
            Node::Text(_) | Node::Class(_) => String::new(), // they are lexemes
        }
    }
}

fn lexeme(node: &Node) -> String {
    match node {
        Node::Text(text) => lark::literal(text),
        Node::Class(class) => format!("/{class}/"),
        Node::Rule(rule) => format!("T{rule}"),
        Node::Sequence(items) if items.is_empty() => "\"\"".into(),
        Node::Sequence(items) => format!("({})", items.iter().map(lexeme).collect::<Vec<_>>().join(" ")),
        Node::Choice(options) => format!("({})", options.iter().map(lexeme).collect::<Vec<_>>().join(" | ")),
        Node::Repeat(item, least, most) => format!("({}){}", lexeme(item), times(*least, *most)),
    }
}

fn times(least: u32, most: Option<u32>) -> String {
    match (least, most) {
        (0, None) => "*".into(),
        (1, None) => "+".into(),
        (0, Some(1)) => "?".into(),
        (least, None) => format!("{{{least},}}"),
        (least, Some(most)) => format!("{{{least},{most}}}"),
    }
}

fn used_rules(node: Option<&Node>) -> Vec<usize> {
    let mut out = Vec::new();
    let mut left: Vec<&Node> = node.into_iter().collect();
    while let Some(node) = left.pop() {
        match node {
            Node::Rule(rule) => out.push(*rule),
            Node::Sequence(items) | Node::Choice(items) => left.extend(items),
            Node::Repeat(item, ..) => left.push(item),
            Node::Text(_) | Node::Class(_) => {}
        }
    }
    out
}

/// The rules that lead back to themselves, or to such a rule: those that cannot be taken away one by one,
/// each after all that it uses.
fn recursive(uses: &[Vec<usize>]) -> Vec<bool> {
    let mut used_by = vec![Vec::new(); uses.len()];
    let mut num_left: Vec<usize> = uses.iter().map(Vec::len).collect();
    for (rule, used) in uses.iter().enumerate() {
        used.iter().for_each(|one| used_by[*one].push(rule));
    }
    let mut free: Vec<usize> = (0..uses.len()).filter(|rule| num_left[*rule] == 0).collect();
    let mut is_recursive = vec![true; uses.len()];
    while let Some(rule) = free.pop() {
        is_recursive[rule] = false;
        for user in &used_by[rule] {
            num_left[*user] -= 1;
            if num_left[*user] == 0 {
                free.push(*user);
            }
        }
    }
    is_recursive
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_without_recursion_are_lexemes() {
        let source = "# sums\nroot ::= sum\nsum ::= part (\" + \" part)*\npart ::= number | \"(\" sum \")\"\nnumber ::= \"-\"? [0-9]{1,3}";
        let written = to_lark(source).unwrap_or_else(|failure| failure.text());
        assert!(written.contains("T3: ((\"-\")? (/[0-9]/){1,3})"), "{written}");
        assert!(written.starts_with("start: r0\n"), "{written}");
    }

    #[test]
    fn what_is_wrong_has_its_line() {
        for (source, sentence) in [
            ("", "there is no rule root"),
            ("root ::= a", "line 1: there is no rule a"),
            (
                "root ::= \"a\"\nroot ::= \"b\"",
                "line 2: the rule root is defined twice",
            ),
            ("root ::= (\"a\"", "a group is not closed"),
            ("root ::= \"a", "ends inside quotes"),
            ("root ::= [z-a]", "is empty"),
            ("root ::= [\\q]", "\\q is not understood"),
            ("root ::= \"a\"{5,2}", "must be how often"),
            ("root ::= \"a\" (= \"b\")", "lookahead"),
            ("root := \"a\"", "a rule is expected"),
            ("root ::= \"a\" %", "is not understood"),
        ] {
            let text = to_lark(source).err().map(Failure::text).unwrap_or_default();
            assert!(text.contains(sentence), "{source}: {text}");
        }
    }
}
