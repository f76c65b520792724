//! Pattern: a compiled regular expression of a matcher, or the plain condition it amounts to.
//!
//! Input: RE2 syntax. Output: whether a whole value matches, and what an index may use instead of
//! trying every value: a list of literals or a prefix. Invariant: all answers are those of RE2 with
//! the pattern anchored at both ends and `.` matching newlines.

use regex_automata::meta::{self, Regex};
use regex_automata::nfa::thompson::WhichCaptures;
use regex_automata::{Anchored, Input};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};

use crate::error::{Error, Result, cut};
use crate::limits::{MAX_COMPILED_BYTES, MAX_PATTERN_BYTES, MAX_PATTERN_DEPTH};
use crate::re2;

/// Literals that a pattern may stand for before it is run as an automaton instead.
const MAX_LITERALS: usize = 4096;
/// Their bytes in total.
const MAX_LITERAL_BYTES: usize = 256 << 10;
/// Characters of a class that is written out as literals.
const MAX_CLASS: usize = 64;

/// A compiled pattern.
#[derive(Debug)]
pub(crate) struct Pattern {
    shape: Shape,
}

/// What a pattern amounts to.
#[derive(Debug)]
pub(crate) enum Shape {
    /// Exactly these values; sorted, each once.
    Literals(Vec<Box<str>>),
    /// A gap, a literal, a gap: `.*`, `.+`, `foo.*`, `.*foo`, `.+foo.*`.
    Affix {
        /// What may stand before the literal.
        lead: Gap,
        /// May be empty; then `tail` is `Nothing`.
        literal: Box<str>,
        /// What may stand after the literal.
        tail: Gap,
    },
    /// Anything else; every match starts with `prefix`.
    Automaton {
        /// May be empty.
        prefix: Box<str>,
        /// Anchored at both ends.
        regex: Box<Regex>,
    },
}

/// Characters that a pattern does not look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gap {
    /// None.
    Nothing,
    /// Any number, `.*`.
    Any,
    /// At least one, `.+`.
    Some,
}

/// What is said of a pattern that is refused.
pub(crate) fn refusal(pattern: &str, message: String) -> Error {
    Error::Regex {
        pattern: cut(pattern, 64),
        message,
    }
}

/// Parses a pattern in RE2 syntax, which `translate` makes one of `regex-syntax`; refuses what RE2
/// refuses and what exceeds a limit.
pub(crate) fn parse(
    pattern: &str,
    translate: fn(&str) -> std::result::Result<String, String>,
) -> Result<Hir> {
    if pattern.len() > MAX_PATTERN_BYTES {
        let len = pattern.len();
        let message = format!("{len} bytes; at most {MAX_PATTERN_BYTES} are allowed");
        return Err(refusal(pattern, message));
    }
    let translated = translate(pattern).map_err(|message| refusal(pattern, message))?;
    ParserBuilder::new()
        .nest_limit(MAX_PATTERN_DEPTH)
        .dot_matches_new_line(true)
        .build()
        .parse(&translated)
        .map_err(|error| refusal(pattern, short_message(&error)))
}

impl Pattern {
    /// Compiles `pattern`; refuses what RE2 refuses and what exceeds a limit.
    pub(crate) fn new(pattern: &str) -> Result<Self> {
        let hir = parse(pattern, re2::translate)?;
        let shape = match shape_of(&hir) {
            Some(shape) => shape,
            None => Shape::Automaton {
                prefix: leading_literal(&hir),
                regex: Box::new(compile(hir).map_err(|message| refusal(pattern, message))?),
            },
        };
        Ok(Self { shape })
    }

    /// Whether the whole of `value`, which is UTF-8, matches.
    pub(crate) fn is_match(&self, value: &[u8]) -> bool {
        match &self.shape {
            Shape::Literals(literals) => literals
                .binary_search_by(|literal| literal.as_bytes().cmp(value))
                .is_ok(),
            Shape::Affix {
                lead,
                literal,
                tail,
            } => affix_matches(*lead, literal.as_bytes(), *tail, value),
            Shape::Automaton { prefix, regex } => {
                has_prefix(value, prefix.as_bytes())
                    && regex.is_match(Input::new(value).anchored(Anchored::Yes))
            }
        }
    }

    /// What the pattern amounts to.
    pub(crate) fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Every match starts with this.
    pub(crate) fn prefix(&self) -> &str {
        match &self.shape {
            Shape::Affix {
                lead: Gap::Nothing,
                literal,
                ..
            } => literal,
            Shape::Automaton { prefix, .. } => prefix,
            _ => "",
        }
    }
}

/// `starts_with`, but comparing nothing is not left to `memcmp`: with masked loads, reading zero
/// bytes at the address that an empty string has costs more than a whole match.
#[inline]
pub(crate) fn has_prefix(value: &[u8], prefix: &[u8]) -> bool {
    prefix.is_empty() || value.starts_with(prefix)
}

fn affix_matches(lead: Gap, literal: &[u8], tail: Gap, value: &[u8]) -> bool {
    let spare = usize::from(lead == Gap::Some) + usize::from(tail == Gap::Some);
    if value.len() < literal.len() + spare {
        return false;
    }
    match (lead, tail) {
        (Gap::Nothing, _) => value.starts_with(literal),
        (_, Gap::Nothing) => value.ends_with(literal),
        _ => {
            // A literal starts and ends at character boundaries, so bytes stand for characters.
            let start = usize::from(lead == Gap::Some);
            let end = value.len() - usize::from(tail == Gap::Some);
            value
                .get(start..end)
                .is_some_and(|inner| contains(inner, literal))
        }
    }
}

/// Whether `haystack` contains `needle`. Values are short: a search for the first byte is faster
/// than any algorithm with a preparation.
pub(crate) fn contains(mut haystack: &[u8], needle: &[u8]) -> bool {
    let Some((first, rest)) = needle.split_first() else {
        return true;
    };
    while haystack.len() >= needle.len() {
        let Some(at) = haystack.iter().position(|byte| byte == first) else {
            return false;
        };
        let Some(after) = haystack.get(at + 1..) else {
            return false;
        };
        if after.starts_with(rest) {
            return true;
        }
        haystack = after;
    }
    false
}

fn short_message(error: &regex_syntax::Error) -> String {
    match error {
        regex_syntax::Error::Parse(error) => error.kind().to_string(),
        regex_syntax::Error::Translate(error) => error.kind().to_string(),
        other => other.to_string(),
    }
}

fn compile(hir: Hir) -> std::result::Result<Regex, String> {
    let anchored = Hir::concat(vec![Hir::look(Look::Start), hir, Hir::look(Look::End)]);
    let config = Regex::config()
        .nfa_size_limit(Some(MAX_COMPILED_BYTES))
        .onepass_size_limit(Some(MAX_COMPILED_BYTES))
        .hybrid_cache_capacity(MAX_COMPILED_BYTES)
        .which_captures(WhichCaptures::None);
    meta::Builder::new()
        .configure(config)
        .build_from_hir(&anchored)
        .map_err(|error| match error.size_limit() {
            Some(limit) => format!("it compiles to more than {limit} bytes"),
            None => error.to_string(),
        })
}

/// The parts of a concatenation without redundant anchors at its ends.
fn parts(hir: &Hir) -> &[Hir] {
    let mut parts = match hir.kind() {
        HirKind::Concat(parts) => parts.as_slice(),
        _ => std::slice::from_ref(hir),
    };
    while let [first, rest @ ..] = parts
        && matches!(first.kind(), HirKind::Look(Look::Start))
    {
        parts = rest;
    }
    while let [rest @ .., last] = parts
        && matches!(last.kind(), HirKind::Look(Look::End))
    {
        parts = rest;
    }
    parts
}

fn shape_of(hir: &Hir) -> Option<Shape> {
    let parts = parts(hir);
    if let Some(mut literals) = expand_all(parts) {
        literals.sort_unstable();
        literals.dedup();
        let literals = literals.into_iter().map(String::into_boxed_str).collect();
        return Some(Shape::Literals(literals));
    }
    let (mut lead, mut literal, mut tail) = (Gap::Nothing, None, Gap::Nothing);
    for part in parts {
        if let Some(gap) = gap_of(part) {
            let side = if literal.is_none() {
                &mut lead
            } else {
                &mut tail
            };
            *side = match (*side, gap) {
                (Gap::Some, Gap::Some) => return None,
                (Gap::Some, _) | (_, Gap::Some) => Gap::Some,
                _ => Gap::Any,
            };
        } else if let HirKind::Literal(found) = uncaptured(part).kind()
            && literal.is_none()
        {
            literal = Some(std::str::from_utf8(&found.0).ok()?);
        } else {
            return None;
        }
    }
    let literal = literal.unwrap_or_default().into();
    Some(Shape::Affix {
        lead,
        literal,
        tail,
    })
}

fn uncaptured(mut hir: &Hir) -> &Hir {
    while let HirKind::Capture(capture) = hir.kind() {
        hir = &capture.sub;
    }
    hir
}

/// `.*` or `.+` of any character, newlines included.
fn gap_of(hir: &Hir) -> Option<Gap> {
    let HirKind::Repetition(Repetition {
        min,
        max: None,
        sub,
        ..
    }) = uncaptured(hir).kind()
    else {
        return None;
    };
    let HirKind::Class(Class::Unicode(class)) = uncaptured(sub).kind() else {
        return None;
    };
    let [range] = class.ranges() else {
        return None;
    };
    match (range.start(), range.end(), min) {
        ('\0', char::MAX, 0) => Some(Gap::Any),
        ('\0', char::MAX, 1) => Some(Gap::Some),
        _ => None,
    }
}

/// What every match starts with, as far as one literal says.
fn leading_literal(hir: &Hir) -> Box<str> {
    match parts(hir).first().map(|first| uncaptured(first).kind()) {
        Some(HirKind::Literal(literal)) => std::str::from_utf8(&literal.0).unwrap_or_default(),
        _ => "",
    }
    .into()
}

/// All strings that a concatenation matches, if they are few.
fn expand_all(parts: &[Hir]) -> Option<Vec<String>> {
    let mut all = vec![String::new()];
    for part in parts {
        all = product(&all, &expand(part)?)?;
    }
    Some(all)
}

fn expand(hir: &Hir) -> Option<Vec<String>> {
    match hir.kind() {
        HirKind::Empty => Some(vec![String::new()]),
        HirKind::Literal(literal) => Some(vec![std::str::from_utf8(&literal.0).ok()?.to_owned()]),
        HirKind::Class(Class::Unicode(class)) => {
            let count: usize = class.iter().map(|range| range.len()).sum();
            let chars = || class.iter().flat_map(|range| range.start()..=range.end());
            (count <= MAX_CLASS).then(|| chars().map(String::from).collect())
        }
        HirKind::Capture(capture) => expand(&capture.sub),
        HirKind::Concat(parts) => expand_all(parts),
        HirKind::Alternation(branches) => {
            let mut all = Vec::new();
            for branch in branches {
                all.append(&mut expand(branch)?);
                bounded(&all)?;
            }
            Some(all)
        }
        HirKind::Repetition(Repetition {
            min,
            max: Some(max),
            sub,
            ..
        }) if *max <= 16 => {
            let once = expand(sub)?;
            let mut power = vec![String::new()];
            let mut all = Vec::new();
            for count in 0..=*max {
                if count >= *min {
                    all.extend_from_slice(&power);
                    bounded(&all)?;
                }
                if count < *max {
                    power = product(&power, &once)?;
                }
            }
            Some(all)
        }
        _ => None,
    }
}

fn product(left: &[String], right: &[String]) -> Option<Vec<String>> {
    if left.len().saturating_mul(right.len()) > MAX_LITERALS {
        return None;
    }
    let bytes = |all: &[String]| all.iter().map(String::len).max().unwrap_or(0);
    let longest = bytes(left) + bytes(right);
    if longest.saturating_mul(left.len() * right.len()) > MAX_LITERAL_BYTES {
        return None;
    }
    Some(
        left.iter()
            .flat_map(|l| right.iter().map(move |r| format!("{l}{r}")))
            .collect(),
    )
}

fn bounded(all: &[String]) -> Option<()> {
    let bytes: usize = all.iter().map(String::len).sum();
    (all.len() <= MAX_LITERALS && bytes <= MAX_LITERAL_BYTES).then_some(())
}
