//! What there is: `/api/v1/labels`, `/api/v1/label/NAME/values`, `/api/v1/series`.
//!
//! Input: selectors, a range of time, a limit. Output: sorted lists, each member once. Invariant: a
//! list is `[]`, never `null`; one that was cut says so.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use treering::{CancelToken, Db, Labels, Query, QueryLimits, Selector};
use treering_promql::syntax::{ExprKind, Extent, Shift};
use treering_promql::{Features, parse};

use super::door::Door;
use super::label_name::unescaped;
use super::params::Params;
use super::queries::TRUNCATED;
use super::reply;
use crate::failure::Failure;
use crate::json;

/// `/api/v1/labels`.
pub(crate) async fn names(State(door): State<Door>, request: Request) -> Response {
    reply::of(list(&door, request, What::Names).await)
}

/// `/api/v1/label/NAME/values`.
pub(crate) async fn values(
    State(door): State<Door>,
    name: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    reply::of(match name.map(|Path(name)| unescaped(&name)) {
        Ok(name) if !name.is_empty() => list(&door, request, What::Values(name)).await,
        Ok(name) => Err(Failure::bad_data(format!("invalid label name: {name:?}"))),
        Err(error) => Err(Failure::bad_data(format!("invalid label name: {error}"))),
    })
}

/// `/api/v1/series`.
pub(crate) async fn series(State(door): State<Door>, request: Request) -> Response {
    reply::of(list(&door, request, What::Series).await)
}

/// What is listed.
#[derive(Debug, Clone)]
enum What {
    Names,
    Values(String),
    Series,
}

/// Of which series.
#[derive(Debug)]
struct Asked {
    selectors: Vec<Selector>,
    range: RangeInclusive<i64>,
    /// 0 is all of them.
    limit: usize,
}

async fn list(door: &Door, request: Request, what: What) -> Result<String, Failure> {
    let params = Params::of(request).await?;
    let asked = asked(&params, &what, &door.features())?;
    let timeout = params.timeout()?;
    let cancel = CancelToken::new();
    let token = cancel.clone();
    let work = move |db: &Db, left: Duration, _| {
        let mut limits = QueryLimits::default();
        limits.timeout = left;
        let query = db.query().limits(limits).cancel(&token);
        Ok(asked.list(&query, &what)?)
    };
    door.ask(timeout, &cancel, work).await
}

fn asked(params: &Params, what: &What, features: &Features) -> Result<Asked, Failure> {
    let mut texts = params.all("match[]").peekable();
    if matches!(what, What::Series) && texts.peek().is_none() {
        return Err(Failure::bad_data("no match[] parameter provided"));
    }
    let limit = params.limit()?;
    let start = params.edge("start", i64::MIN)?;
    let end = params.edge("end", i64::MAX)?;
    let selectors: Result<Vec<_>, _> = texts.map(|text| selector(text, features)).collect();
    let mut selectors = selectors?;
    if selectors.is_empty() {
        selectors.push(Selector::all());
    }
    Ok(Asked {
        selectors,
        range: start..=end,
        limit,
    })
}

/// The selector that `text` is, if it is nothing more.
fn selector(text: &str, features: &Features) -> Result<Selector, Failure> {
    let expr = match parse(text, features) {
        Ok(expr) => expr,
        Err(error) if error.message.ends_with("at least one non-empty matcher") => {
            let text = "match[] must contain at least one non-empty matcher";
            return Err(Failure::bad_data(text));
        }
        Err(error) => return Err(Failure::bad_data(error.to_string())),
    };
    match expr.kind {
        ExprKind::Vector(vector)
            if vector.shift == Shift::default() && vector.extent == Extent::Plain =>
        {
            Ok(Selector::from_matchers(vector.matchers))
        }
        _ => Err(Failure::bad_data(format!(
            "1:1: parse error: expected a series selector, found {text}"
        ))),
    }
}

impl Asked {
    fn list(&self, query: &Query<'_>, what: &What) -> treering::Result<String> {
        match what {
            What::Names => {
                let of = |selector: &Selector| query.label_names(selector, self.range.clone());
                Ok(self.told(self.union(of)?, |out, name| json::push_text(out, name)))
            }
            What::Values(name) => {
                let of =
                    |selector: &Selector| query.label_values(name, selector, self.range.clone());
                Ok(self.told(self.union(of)?, |out, value| json::push_text(out, value)))
            }
            What::Series => {
                let of = |selector: &Selector| self.series(query, selector);
                Ok(self.told(self.union(of)?, json::push_labels))
            }
        }
    }

    /// What all selectors have, sorted.
    fn union<T: Ord>(
        &self,
        of: impl Fn(&Selector) -> treering::Result<Vec<T>>,
    ) -> treering::Result<Vec<T>> {
        if let [only] = self.selectors.as_slice() {
            return of(only);
        }
        let mut all = BTreeSet::new();
        for selector in &self.selectors {
            all.extend(of(selector)?);
        }
        Ok(all.into_iter().collect())
    }

    /// The series of one selector in label order, not many more than are wanted.
    fn series(&self, query: &Query<'_>, selector: &Selector) -> treering::Result<Vec<Labels>> {
        let most = match self.limit {
            0 => usize::MAX,
            limit => limit.saturating_add(1),
        };
        let series = query.select(selector, self.range.clone())?.take(most);
        series.map(|one| Ok(one?.labels().clone())).collect()
    }

    fn told<T>(&self, mut members: Vec<T>, push: impl Fn(&mut String, &T)) -> String {
        let mut warnings = Vec::new();
        if self.limit > 0 && members.len() > self.limit {
            members.truncate(self.limit);
            warnings.push(TRUNCATED.to_owned());
        }
        let data = |out: &mut String| json::push_list(out, &members, push);
        json::success(data, &warnings, &[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_is_nothing_more() {
        let read = |text| selector(text, &Features::all());
        assert!(read("up").is_ok() && read("{job=~\"a.+\"}").is_ok());
        assert!(read("{\"my.metric\"}").is_ok());
        for text in [
            "up[5m]",
            "up offset 5m",
            "up @ 3",
            "1",
            "up + 1",
            "up anchored",
            "sum(up)",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        for text in ["{}", "{a=\"\"}", "{__name__=~\".*\"}"] {
            let failure = read(text).unwrap_err();
            assert_eq!(
                failure.text,
                "match[] must contain at least one non-empty matcher"
            );
        }
        assert!(read("up{").unwrap_err().text.contains("parse error"));
    }
}
