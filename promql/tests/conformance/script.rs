//! Scripts of Prometheus' PromQL tests: text to commands.
//!
//! Input: the text of a `.test` file. Output: its commands with their lines. Invariant: every line
//! is understood or is an error; nothing is passed over.

use treering::{Labels, ResetHint};
use treering_promql::syntax::{ExprKind, UnaryOp};
use treering_promql::{Features, parse};

use super::values::{self, SeriesLine, Slot};

/// One command and the line it stands on, from 1.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) line: usize,
    pub(crate) kind: CommandKind,
}

#[derive(Debug)]
pub(crate) enum CommandKind {
    /// Forgets every sample.
    Clear,
    /// Adds samples.
    Load(Load),
    /// Asks a question.
    Eval(Box<Eval>),
}

#[derive(Debug)]
pub(crate) struct Load {
    /// Distance of the samples, in nanoseconds.
    pub(crate) step: i64,
    pub(crate) series: Vec<SeriesLine>,
    /// Whether classic histograms become native ones too.
    pub(crate) with_custom_buckets: bool,
}

#[derive(Debug)]
pub(crate) struct Eval {
    pub(crate) text: String,
    pub(crate) when: When,
    pub(crate) expects: Vec<Expect>,
    /// What must come out, in order.
    pub(crate) series: Vec<(Labels, Vec<Slot>)>,
    /// A number alone: a scalar must come out.
    pub(crate) scalar: Option<f64>,
    pub(crate) string: Option<String>,
    /// The result of an instant query is a matrix with these steps.
    pub(crate) matrix: Option<Steps>,
}

impl Eval {
    /// Takes any hint for right where a histogram is expected to be known not to follow a reset.
    pub(crate) fn expect_no_comparison(&mut self) {
        for slot in self.series.iter_mut().flat_map(|series| &mut series.1) {
            if let Slot::Histogram(wanted, is_hinted) = slot {
                *is_hinted &= wanted.hint != ResetHint::NotReset;
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum When {
    At(i64),
    Steps(Steps),
}

/// Steps of a range query, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Steps {
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) step: i64,
}

/// `expect ...` of anything but results.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Expect {
    pub(crate) what: What,
    pub(crate) text: Text,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Ordered,
    Fail,
    Warn,
    Info,
    NoWarn,
    NoInfo,
}

/// What a message must be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Text {
    Any,
    Equal(String),
    Regex(String),
}

impl Eval {
    pub(crate) fn expects(&self, what: What) -> impl Iterator<Item = &Text> {
        let these = self.expects.iter().filter(move |e| e.what == what);
        these.map(|expect| &expect.text)
    }

    pub(crate) fn has(&self, what: What) -> bool {
        self.expects(what).next().is_some()
    }
}

/// Reads a whole script.
pub(crate) fn read(text: &str) -> Result<Vec<Command>, String> {
    let lines: Vec<&str> = text
        .lines()
        .map(|line| match line.trim() {
            comment if comment.starts_with('#') => "",
            line => line,
        })
        .collect();
    let mut commands = vec![];
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        let first = at;
        at += 1;
        if line.is_empty() {
            continue;
        }
        let is_lone = line.to_lowercase() == "clear";
        while !is_lone && lines.get(at).is_some_and(|line| !line.is_empty()) {
            at += 1;
        }
        let kind = command(line, &lines[first + 1..at]);
        let kind = kind.map_err(|error| format!("line {}: {error}", first + 1))?;
        let line = first + 1;
        commands.push(Command { line, kind });
    }
    Ok(commands)
}

fn command(line: &str, body: &[&str]) -> Result<CommandKind, String> {
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    match word.to_lowercase().as_str() {
        "clear" => Ok(CommandKind::Clear),
        "load" => load(rest, body, false),
        "load_with_nhcb" => load(rest, body, true),
        word if word == "eval" || word.starts_with("eval_") => {
            let mut eval = eval(rest)?;
            let what = match word.strip_prefix("eval_") {
                None => None,
                Some("fail") => Some(What::Fail),
                Some("warn") => Some(What::Warn),
                Some("info") => Some(What::Info),
                Some("ordered") => Some(What::Ordered),
                Some(other) => return Err(format!("unknown command eval_{other}")),
            };
            let text = Text::Any;
            eval.expects.extend(what.map(|what| Expect { what, text }));
            for line in body {
                body_line(&mut eval, line).map_err(|error| format!("{line:?}: {error}"))?;
            }
            Ok(CommandKind::Eval(Box::new(eval)))
        }
        _ => Err(format!("unknown command {word}")),
    }
}

fn load(rest: &str, body: &[&str], with_custom_buckets: bool) -> Result<CommandKind, String> {
    let step = nanos(rest)?;
    let series = values::series_lines(body)?;
    Ok(CommandKind::Load(Load {
        step,
        series,
        with_custom_buckets,
    }))
}

/// `instant at T EXPR` or `range from A to B step S EXPR`.
fn eval(rest: &str) -> Result<Eval, String> {
    let mut words = Words(rest);
    let when = match words.next() {
        "instant" => {
            words.skip("at")?;
            When::At(nanos(words.next())?)
        }
        "range" => {
            let start = words.after("from")?;
            let end = words.after("to")?;
            let step = words.after("step")?;
            When::Steps(Steps { start, end, step })
        }
        other => return Err(format!("unknown kind of evaluation {other:?}")),
    };
    Ok(Eval {
        text: words.0.trim().to_owned(),
        when,
        expects: vec![],
        series: vec![],
        scalar: None,
        string: None,
        matrix: None,
    })
}

fn body_line(eval: &mut Eval, line: &str) -> Result<(), String> {
    if let Some(rest) = line.strip_prefix("expect ") {
        return expect(eval, rest.trim());
    }
    let old = [
        ("expected_fail_message ", Text::Equal as fn(String) -> Text),
        ("expected_fail_regexp ", Text::Regex),
    ];
    for (word, make) in old {
        if let Some(rest) = line.strip_prefix(word) {
            let text = make(rest.trim().to_owned());
            let what = What::Fail;
            eval.expects.push(Expect { what, text });
            return Ok(());
        }
    }
    if let Some(number) = lone_number(line) {
        eval.scalar = Some(number);
        return Ok(());
    }
    let series = values::series_line(line)?;
    eval.series.push((series.labels, series.slots));
    Ok(())
}

fn expect(eval: &mut Eval, rest: &str) -> Result<(), String> {
    let (word, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let rest = rest.trim();
    let what = match word {
        "ordered" => What::Ordered,
        "fail" => What::Fail,
        "warn" => What::Warn,
        "info" => What::Info,
        "no_warn" => What::NoWarn,
        "no_info" => What::NoInfo,
        "string" => {
            eval.string = Some(values::unquoted(rest)?);
            return Ok(());
        }
        "range" => {
            let mut words = Words(rest);
            words.skip("vector")?;
            let start = words.after("from")?;
            let end = words.after("to")?;
            let step = words.after("step")?;
            eval.matrix = Some(Steps { start, end, step });
            return Ok(());
        }
        _ => return Err(format!("unknown expectation {word:?}")),
    };
    let text = match rest.split_once(':') {
        _ if rest.is_empty() => Text::Any,
        Some(("msg", text)) => Text::Equal(text.trim().to_owned()),
        Some(("regex", text)) => Text::Regex(text.trim().to_owned()),
        _ => return Err(format!("unknown form of a message {rest:?}")),
    };
    eval.expects.push(Expect { what, text });
    Ok(())
}

/// The number that `line` is, if it is nothing else.
fn lone_number(line: &str) -> Option<f64> {
    if line.contains('{') {
        return None;
    }
    let mut expr = parse(line, &Features::default()).ok()?;
    let mut sign = 1.0;
    while let ExprKind::Unary(unary) = expr.kind {
        sign *= if unary.op == UnaryOp::Minus {
            -1.0
        } else {
            1.0
        };
        expr = *unary.expr;
    }
    match expr.kind {
        ExprKind::Number(number) => Some(number.value * sign),
        _ => None,
    }
}

/// A time or distance such as `5m30s`, in nanoseconds.
pub(crate) fn nanos(text: &str) -> Result<i64, String> {
    let text = text.trim();
    let seconds = lone_number(text).ok_or_else(|| format!("{text:?} is no duration"))?;
    Ok((seconds * 1e9).round() as i64)
}

/// What is left of a line.
struct Words<'a>(&'a str);

impl<'a> Words<'a> {
    fn next(&mut self) -> &'a str {
        let rest = self.0.trim_start();
        let (word, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        self.0 = rest;
        word
    }

    fn skip(&mut self, wanted: &str) -> Result<(), String> {
        match self.next() {
            word if word == wanted => Ok(()),
            word => Err(format!("expected {wanted}, found {word:?}")),
        }
    }

    fn after(&mut self, wanted: &str) -> Result<i64, String> {
        self.skip(wanted)?;
        nanos(self.next())
    }
}
