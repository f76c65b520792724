//! Rewrite: a pattern, and the text that a value becomes where it matches.
//!
//! Input: RE2 syntax and a template with `$1`, `${name}`. Output: the template with what the groups
//! caught. Invariant: the pattern must match the whole value; a group that is not there is empty.

use regex_automata::meta::Regex;
use regex_automata::util::captures::Captures;
use regex_automata::{Anchored, Input};
use regex_syntax::hir::{Hir, Look};

use crate::error::Result;
use crate::limits::MAX_COMPILED_BYTES;
use crate::pattern::{parse, refusal};
use crate::re2;

/// A compiled pattern and a template.
#[derive(Debug, Clone)]
pub struct Rewrite {
    regex: Regex,
    parts: Vec<Part>,
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Numbered(usize),
    Named(String),
}

impl Rewrite {
    /// Compiles `pattern`, in RE2 syntax, for `template`, in which `$1` and `${name}` stand for
    /// groups and `$$` for `$`. The error says what is wrong with the pattern.
    pub fn new(pattern: &str, template: &str) -> Result<Self> {
        let refuse = |message| refusal(pattern, message);
        let hir = parse(pattern, re2::translate_catching)?;
        let anchored = Hir::concat(vec![Hir::look(Look::Start), hir, Hir::look(Look::End)]);
        let config = Regex::config().nfa_size_limit(Some(MAX_COMPILED_BYTES));
        let regex = Regex::builder()
            .configure(config)
            .build_from_hir(&anchored)
            .map_err(|error| refuse(error.to_string()))?;
        Ok(Self {
            regex,
            parts: parts(template),
        })
    }

    /// What `value` becomes; `None` where the pattern does not match it.
    pub fn apply(&self, value: &str) -> Option<String> {
        let mut captures = self.regex.create_captures();
        let input = Input::new(value).anchored(Anchored::Yes);
        self.regex.captures(input, &mut captures);
        if !captures.is_match() {
            return None;
        }
        let mut result = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => result.push_str(text),
                Part::Numbered(group) => result.push_str(group_text(&captures, *group, value)),
                Part::Named(name) => {
                    let span = captures.get_group_by_name(name);
                    let text = span.and_then(|span| value.get(span.start..span.end));
                    result.push_str(text.unwrap_or_default());
                }
            }
        }
        Some(result)
    }
}

fn group_text<'a>(captures: &Captures, group: usize, value: &'a str) -> &'a str {
    let span = captures.get_group(group);
    span.and_then(|span| value.get(span.start..span.end))
        .unwrap_or_default()
}

/// The pieces of a template, as Go's `Regexp.Expand` reads it.
fn parts(template: &str) -> Vec<Part> {
    let (mut parts, mut text, mut rest) = (Vec::new(), String::new(), template);
    while let Some((before, after)) = rest.split_once('$') {
        text.push_str(before);
        rest = after;
        if let Some(after) = rest.strip_prefix('$') {
            text.push('$');
            rest = after;
            continue;
        }
        let Some((name, after)) = group_name(rest) else {
            text.push('$');
            continue;
        };
        rest = after;
        if !text.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut text)));
        }
        let is_number = name.bytes().all(|byte| byte.is_ascii_digit())
            && (name == "0" || !name.starts_with('0'));
        match name.parse().ok().filter(|_| is_number) {
            Some(number) => parts.push(Part::Numbered(number)),
            None => parts.push(Part::Named(name.to_owned())),
        }
    }
    text.push_str(rest);
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    parts
}

/// The name after a `$`, in braces or not, and what follows it.
fn group_name(text: &str) -> Option<(&str, &str)> {
    let (inner, braced) = match text.strip_prefix('{') {
        Some(inner) => (inner, true),
        None => (text, false),
    };
    let is_part = |found: char| found == '_' || found.is_alphanumeric();
    let end = inner.find(|found| !is_part(found)).unwrap_or(inner.len());
    let (name, rest) = inner.split_at(end);
    if name.is_empty() {
        return None;
    }
    match braced {
        true => rest.strip_prefix('}').map(|rest| (name, rest)),
        false => Some((name, rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(pattern: &str, template: &str, value: &str) -> Option<String> {
        Rewrite::new(pattern, template).unwrap().apply(value)
    }

    #[test]
    fn groups_are_put_into_the_template() {
        let both = apply("(.*)-(?P<last>[0-9]+)", "$2/$1/${last}/$$", "ab-12");
        assert_eq!(both.as_deref(), Some("12/ab/12/$"));
        assert_eq!(apply("(a)|(b)", "<$1$2>", "b").as_deref(), Some("<b>"));
        assert_eq!(apply("(.)", "$1x-$9-$", "a").as_deref(), Some("--$"));
        assert_eq!(
            apply("(.)", "${1}x ${1 ${}", "a").as_deref(),
            Some("ax ${1 ${}")
        );
    }

    #[test]
    fn the_whole_value_must_match() {
        assert_eq!(apply("b", "x", "abc"), None);
        assert_eq!(apply("a|ab", "x", "ab").as_deref(), Some("x"));
        assert_eq!(apply("", "x", "").as_deref(), Some("x"));
        assert_eq!(apply("a.c", "$0", "a\nc").as_deref(), Some("a\nc"));
        assert!(Rewrite::new("(", "x").is_err());
    }
}
