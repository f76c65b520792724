//! A query of Prometheus' HTTP API: at one time or over a range of times.
//!
//! Input: text and times. Output: the whole reply, and ours to the same query. Times are nanoseconds,
//! whole milliseconds.

use treering_promql::syntax::Expr;
use treering_promql::{Answer, Error, Evaluator};

use super::http::{self, Client, escape};
use crate::Result;

const FORM: [(&str, &str); 1] = [("Content-Type", "application/x-www-form-urlencoded")];

const MILLISECOND: i64 = 1_000_000;

/// When a query is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// At one time.
    Instant(i64),
    /// At many.
    Range {
        /// The first.
        start: i64,
        /// None is later.
        end: i64,
        /// The distance between two.
        step: i64,
    },
}

impl Asked {
    /// The times of the steps.
    pub fn times(self) -> Vec<i64> {
        match self {
            Asked::Instant(time) => vec![time],
            Asked::Range { start, end, step } => {
                (start..=end).step_by(step.max(1) as usize).collect()
            }
        }
    }

    /// Asks a server, with more parameters (`&name=value`); its whole reply, errors too.
    pub fn of_server(self, client: &mut Client, text: &str, more: &str) -> Result<http::Answer> {
        let text = escape(text);
        let (path, body) = match self {
            Asked::Instant(time) => {
                let time = seconds(time);
                ("/api/v1/query", format!("query={text}&time={time}{more}"))
            }
            Asked::Range { start, end, step } => {
                let (start, end, step) = (seconds(start), seconds(end), seconds(step));
                let times = format!("start={start}&end={end}&step={step}");
                let body = format!("query={text}&{times}{more}");
                ("/api/v1/query_range", body)
            }
        };
        client.send("POST", path, &FORM, body.as_bytes())
    }

    /// Asks ours.
    pub fn of_ours(
        self,
        evaluator: &Evaluator<'_>,
        expr: &Expr,
    ) -> std::result::Result<Answer, Error> {
        match self {
            Asked::Instant(time) => evaluator.instant(expr, time),
            Asked::Range { start, end, step } => evaluator.range(expr, start, end, step),
        }
    }
}

/// Seconds with milliseconds, as parameters and `@` have them.
pub fn seconds(nanos: i64) -> String {
    let millis = nanos / MILLISECOND;
    format!("{}.{:03}", millis / 1000, millis % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_end_before_the_end() {
        let asked = Asked::Range {
            start: 1,
            end: 9,
            step: 3,
        };
        assert_eq!(asked.times(), [1, 4, 7]);
        assert_eq!(Asked::Instant(5).times(), [5]);
        assert_eq!(seconds(1_700_000_000_050_000_000), "1700000000.050");
    }
}
