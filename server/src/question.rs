//! Questions: an expression in PromQL, when it is asked, and what it may take.
//!
//! Input: text and bounds. Output: the evaluator's answer, or a failure. Invariant: what can be
//! refused for the text alone is refused before the database is asked.

use std::time::Duration;

use treering::{CancelToken, Db, QueryLimits};
use treering_promql::syntax::ValueType;
use treering_promql::{Answer, Evaluator, Expr, Features, Options, Plan, Pool, Severity, parse};

use crate::failure::Failure;

/// When an expression is evaluated, in nanoseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Once.
    At(i64),
    /// At `start`, `start + step` and so on, up to `end`.
    Steps {
        /// The first time.
        start: i64,
        /// What no time is later than.
        end: i64,
        /// The distance of two times, above zero.
        step: i64,
    },
}

/// An expression, and what its evaluation goes by.
#[derive(Debug, Clone)]
pub struct Question {
    /// The expression.
    pub text: String,
    /// When it is evaluated.
    pub when: When,
    /// What of the language is switched on.
    pub features: Features,
    /// How long a sample counts as current; `None` leaves it at five minutes.
    pub lookback: Option<Duration>,
    /// How long it may take.
    pub timeout: Duration,
    /// Memory that it shares with others.
    pub pool: Option<Pool>,
    /// Ends it from another thread.
    pub cancel: CancelToken,
}

/// How long a question may take where nobody says.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(120);

impl Question {
    /// A question with the defaults of Prometheus.
    pub fn new(text: impl Into<String>, when: When) -> Self {
        Self {
            text: text.into(),
            when,
            features: Features::default(),
            lookback: None,
            timeout: DEFAULT_TIMEOUT,
            pool: None,
            cancel: CancelToken::new(),
        }
    }

    /// The expression; in words why it is none, or none that can be asked over a range.
    pub fn parse(&self) -> Result<Expr, String> {
        let expr = parse(&self.text, &self.features).map_err(|error| error.to_string())?;
        let found = expr.value_type();
        let is_range = matches!(self.when, When::Steps { .. });
        if is_range && matches!(found, ValueType::Matrix | ValueType::String) {
            return Err(format!(
                "invalid expression type {:?} for range query, must be Scalar or instant Vector",
                found.as_str()
            ));
        }
        Ok(expr)
    }

    /// The answer of a database to `expr`, which [`Question::parse`] gave.
    pub fn ask(&self, db: &Db, expr: &Expr) -> Result<Answer, Failure> {
        self.evaluated(db, |evaluator| match self.when {
            When::At(time) => evaluator.instant(expr, time),
            When::Steps { start, end, step } => evaluator.range(expr, start, end, step),
        })
    }

    /// How a database would answer `expr`, without reading a sample.
    pub fn explain(&self, db: &Db, expr: &Expr) -> Result<Plan, Failure> {
        self.evaluated(db, |evaluator| match self.when {
            When::At(time) => evaluator.explain(expr, time, time, 0),
            When::Steps { start, end, step } => evaluator.explain(expr, start, end, step),
        })
    }

    fn evaluated<T>(
        &self,
        db: &Db,
        evaluate: impl FnOnce(&Evaluator<'_>) -> treering_promql::Result<T>,
    ) -> Result<T, Failure> {
        let mut limits = QueryLimits::default();
        limits.timeout = self.timeout;
        let source = db.query().limits(limits).cancel(&self.cancel);
        let mut options = Options {
            timeout: self.timeout,
            pool: self.pool.clone(),
            cancel: self.cancel.clone(),
            features: self.features,
            ..Options::default()
        };
        if let Some(lookback) = self.lookback {
            options.lookback = lookback;
        }
        Ok(evaluate(&Evaluator::new(&source).options(options))?)
    }

    /// The warnings or infos of an answer, at most ten and how many more there are.
    pub fn notes(&self, answer: &Answer, severity: Severity) -> Vec<String> {
        let mut notes = answer.annotations.texts(severity, &self.text);
        if let Some(more) = notes.len().checked_sub(MOST_NOTES).filter(|more| *more > 0) {
            let kind = match severity {
                Severity::Warning => "warning",
                Severity::Info => "info",
            };
            notes.truncate(MOST_NOTES);
            notes.push(format!("{more} more {kind} annotations omitted"));
        }
        notes
    }
}

/// Notes of one severity that an answer tells.
const MOST_NOTES: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use treering::{Batch, labels};
    use treering_promql::Value;

    const RANGE: When = When::Steps {
        start: 0,
        end: 10,
        step: 5,
    };

    #[test]
    fn windows_and_texts_are_not_asked_over_ranges() {
        for text in ["up[5m]", "\"text\"", "up[5m:1m]"] {
            let wrong = Question::new(text, RANGE).parse().unwrap_err();
            assert!(wrong.starts_with("invalid expression type"), "{wrong}");
            assert!(Question::new(text, When::At(0)).parse().is_ok());
        }
        let wrong = Question::new("up[5m", RANGE).parse().unwrap_err();
        assert!(wrong.starts_with("1:"), "{wrong}");
    }

    #[test]
    fn more_than_ten_warnings_are_counted() {
        let db = Db::in_memory().unwrap();
        let mut batch = Batch::new();
        for host in 0..30 {
            let (name, host) = (format!("m{host}"), host.to_string());
            batch.push(
                labels! { "__name__" => &name, "le" => "x", "host" => &host },
                0,
                1.0,
            );
        }
        db.append(&batch).unwrap();
        let text = "histogram_quantile(0.5, {__name__=~\"m.*\"})";
        let question = Question::new(text, When::At(0));
        let answer = question.ask(&db, &question.parse().unwrap()).unwrap();
        assert!(matches!(answer.value, Value::Vector(_)));
        let notes = question.notes(&answer, Severity::Warning);
        assert_eq!(notes.len(), 11, "{notes:?}");
        assert_eq!(notes[10], "20 more warning annotations omitted");
        assert_eq!(question.notes(&answer, Severity::Info).len(), 0);
    }

    #[test]
    fn a_cancelled_question_has_no_answer() {
        let db = Db::in_memory().unwrap();
        let question = Question::new("up", When::At(0));
        let expr = question.parse().unwrap();
        question.cancel.cancel();
        let failure = question.ask(&db, &expr).unwrap_err();
        assert_eq!(failure.kind, crate::failure::Kind::Canceled);
    }
}
