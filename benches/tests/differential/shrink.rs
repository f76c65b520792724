//! A failing query made as small as it can be while it still fails.
//!
//! Input: a query whose two answers differ for no known reason. Output: a smaller one of the same
//! kind, and the samples that it reads. Parts take the place of the whole, matchers are added that
//! leave one series, clauses go, a range becomes one of its steps.

use std::collections::BTreeSet;

use treering_benches::Result;
use treering_benches::rival::answer::Difference;
use treering_benches::rival::asked::{Asked, seconds};
use treering_promql::parse;
use treering_promql::syntax::{Expr, ExprKind, Shift, VectorSelector};

use crate::grammar::Query;
use crate::rules::{Judge, Verdict, Wrong};
use crate::tree::{count, features, node_mut, nodes, operand};
use crate::world::{MILLISECOND, World};

/// More smaller queries are not tried.
const TRIES_MAX: usize = 400;

/// Samples shown of each series, and series.
const SAMPLES_SHOWN: usize = 60;
const SERIES_SHOWN: usize = 8;

/// The smallest query found that still fails, and its answers.
pub(crate) fn smallest(
    judge: &mut Judge<'_>,
    world: &World,
    query: &Query,
    wrong: Wrong,
) -> Result<(Query, Wrong)> {
    let (mut query, mut wrong) = (query.clone(), wrong);
    let mut tries = 0;
    'smaller: loop {
        for candidate in candidates(world, &query, &wrong) {
            tries += 1;
            if tries > TRIES_MAX {
                break 'smaller;
            }
            if let Verdict::Unexplained(still) = judge.judge(&candidate)? {
                (query, wrong) = (candidate, *still);
                continue 'smaller;
            }
        }
        break;
    }
    Ok((query, wrong))
}

fn candidates(world: &World, query: &Query, wrong: &Wrong) -> Vec<Query> {
    let Ok(expr) = parse(&query.text, &features()) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut put = |expr: &Expr, asked: Asked| {
        found.push(Query {
            text: expr.to_string(),
            asked,
            is_mangled: query.is_mangled,
        });
    };
    if let Asked::Range { start, .. } = query.asked {
        let times = match &wrong.difference {
            Difference::Points(points) => {
                points.iter().map(|point| point.1 * MILLISECOND).collect()
            }
            Difference::Whole | Difference::Order => vec![start],
        };
        for time in times.into_iter().take(2) {
            put(&expr, Asked::Instant(time));
        }
    }
    for part in nodes(&expr).into_iter().skip(1) {
        put(part, query.asked);
    }
    for number in 1..count(&expr) {
        let Some(part) = nodes(&expr).get(number).map(|part| (*part).clone()) else {
            continue;
        };
        for child in part.children() {
            if child.value_type() == part.value_type() {
                let mut whole = expr.clone();
                if let Some(place) = node_mut(&mut whole, number) {
                    *place = operand(child);
                    put(&whole, query.asked);
                }
            }
        }
    }
    for number in 0..count(&expr) {
        for kind in plainer(world, nodes(&expr)[number]) {
            let mut whole = expr.clone();
            if let Some(place) = node_mut(&mut whole, number) {
                place.kind = kind;
                put(&whole, query.asked);
            }
        }
    }
    found
}

/// A node with one clause less.
fn plainer(world: &World, node: &Expr) -> Vec<ExprKind> {
    let mut found = Vec::new();
    match &node.kind {
        ExprKind::Vector(selector) => {
            let plainer = plainer_selectors(world, selector).into_iter();
            found.extend(plainer.map(ExprKind::Vector));
        }
        ExprKind::Matrix(matrix) => {
            for selector in plainer_selectors(world, &matrix.selector) {
                let mut matrix = matrix.clone();
                matrix.selector = selector;
                found.push(ExprKind::Matrix(matrix));
            }
        }
        ExprKind::Subquery(subquery) => {
            for shift in plainer_shifts(&subquery.shift) {
                let mut subquery = subquery.clone();
                subquery.shift = shift;
                found.push(ExprKind::Subquery(subquery));
            }
        }
        ExprKind::Aggregate(aggregate) => {
            for at in 0..aggregate.grouping.len() {
                let mut aggregate = aggregate.clone();
                aggregate.grouping.remove(at);
                found.push(ExprKind::Aggregate(aggregate));
            }
        }
        _ => {}
    }
    found
}

fn plainer_shifts(shift: &Shift) -> Vec<Shift> {
    let mut found = Vec::new();
    if shift.at.is_some() {
        let offset = shift.offset.clone();
        found.push(Shift { at: None, offset });
    }
    if shift.offset.is_some() {
        let at = shift.at;
        found.push(Shift { at, offset: None });
    }
    found
}

fn plainer_selectors(world: &World, selector: &VectorSelector) -> Vec<VectorSelector> {
    let mut found = Vec::new();
    for shift in plainer_shifts(&selector.shift) {
        let mut selector = selector.clone();
        selector.shift = shift;
        found.push(selector);
    }
    let selected = selected(world, selector);
    if selected.len() > 1 {
        for at in selected {
            // All labels of one series as matchers, the name where it stood.
            let labels = &world.series[at].labels;
            let pairs = labels.iter().filter(|(name, _)| *name != "__name__");
            let texts = pairs.map(|(name, value)| format!("{name}=\"{value}\""));
            let texts: Vec<String> = texts.collect();
            let name = labels.name().unwrap_or_default();
            let text = format!("{name}{{{}}}", texts.join(","));
            if let Ok(Expr {
                kind: ExprKind::Vector(mut one),
                ..
            }) = parse(&text, &features())
            {
                one.shift = selector.shift.clone();
                found.push(one);
            }
        }
    }
    found
}

/// Numbers of the series that a selector finds.
fn selected(world: &World, selector: &VectorSelector) -> Vec<usize> {
    let series = world.series.iter().enumerate();
    let is_found = |labels: &treering::Labels| selector.matchers.iter().all(|m| m.matches(labels));
    series
        .filter(|(_, one)| is_found(&one.labels))
        .map(|(at, _)| at)
        .collect()
}

/// The case as people read it: what is asked, both answers, the samples that it may read.
pub(crate) fn told(world: &World, query: &Query, wrong: &Wrong) -> String {
    let asked = match query.asked {
        Asked::Instant(time) => format!("at {}", seconds(time)),
        Asked::Range { start, end, step } => format!(
            "from {} to {} by {}",
            seconds(start),
            seconds(end),
            seconds(step)
        ),
    };
    let mut text = format!("    {}\n    {asked}\n", query.text);
    match &wrong.difference {
        Difference::Points(points) => {
            for (key, millis, ours, theirs) in points.iter().take(6) {
                text += &format!("    {key:?} at {millis}: ours {ours:?}, theirs {theirs:?}\n");
            }
        }
        Difference::Whole | Difference::Order => {
            for (name, answer) in [("ours", &wrong.ours), ("theirs", &wrong.theirs)] {
                let answer: String = format!("{answer:?}").chars().take(1200).collect();
                text += &format!("    {name}: {answer}\n");
            }
        }
    }
    text + &samples(world, query)
}

fn samples(world: &World, query: &Query) -> String {
    let Ok(expr) = parse(&query.text, &features()) else {
        return String::new();
    };
    let mut numbers = BTreeSet::new();
    for node in nodes(&expr) {
        match &node.kind {
            ExprKind::Vector(selector) => numbers.extend(selected(world, selector)),
            ExprKind::Matrix(matrix) => numbers.extend(selected(world, &matrix.selector)),
            _ => {}
        }
    }
    let near = query.asked.times().first().copied().unwrap_or_default();
    let mut text = String::new();
    for number in numbers.into_iter().take(SERIES_SHOWN) {
        let series = &world.series[number];
        let end = series.samples.partition_point(|sample| sample.0 <= near);
        let shown = series.samples.get(..end + 3).unwrap_or(&series.samples);
        let skipped = shown.len().saturating_sub(SAMPLES_SHOWN);
        let shown = shown.iter().skip(skipped).map(|(time, value)| {
            let value = match treering::is_stale(*value) {
                true => "stale".to_owned(),
                false => value.to_string(),
            };
            format!("{}@{value}", time / MILLISECOND - near / MILLISECOND)
        });
        let shown: Vec<String> = shown.collect();
        text += &format!("    {} [ms from then] {}\n", series.labels, shown.join(" "));
    }
    text
}
