//! How matchers become postings, the same for every kind of index.
//!
//! Input: matchers and an [`Index`]. Output: the postings of the series that meet all of them.
//! Each matcher is turned into a set of values whose series are either kept or removed; sets are
//! applied cheapest first, and once few series are left, their labels are read instead.

use std::cmp::Reverse;

use crate::matcher::{MatchOp, Matcher};
use crate::pattern::{Gap, Shape};
use crate::postings::Postings;
use crate::setops::Union;

/// Is shown a value and its pair; says whether to go on.
pub(crate) type Visit<'a, I> =
    dyn FnMut(&[u8], <I as Index>::Pair) -> Result<bool, <I as Index>::Error> + 'a;

/// What an index must answer for [`select`].
pub(crate) trait Index {
    /// What can go wrong.
    type Error;
    /// A label name.
    type Name: Copy;
    /// A label pair.
    type Pair: Copy;

    /// A number above every id.
    fn id_end(&self) -> u32;
    /// All series.
    fn all(&self) -> Postings;
    /// The label names, sorted.
    fn names(&self) -> Result<Vec<(String, Self::Name)>, Self::Error>;
    /// The label name, if any series has it.
    fn find_name(&self, name: &str) -> Result<Option<Self::Name>, Self::Error>;
    /// Number of distinct values of a name.
    fn value_count(&self, name: Self::Name) -> usize;
    /// The series that have the label.
    fn present(&self, name: Self::Name) -> Result<Postings, Self::Error>;
    /// The pair of that name and value, and the number of its series.
    fn find_pair(
        &self,
        name: Self::Name,
        value: &str,
    ) -> Result<Option<(Self::Pair, usize)>, Self::Error>;
    /// The series of a pair that are also in `within`, or all.
    fn series_of(
        &self,
        pair: Self::Pair,
        within: Option<&Postings>,
    ) -> Result<Postings, Self::Error>;
    /// Adds the series of a pair to a union.
    fn add_series_of(&self, pair: Self::Pair, union: &mut Union) -> Result<(), Self::Error>;
    /// The value of a pair, or why it is none.
    fn value_text(&self, pair: Self::Pair) -> Result<&str, Self::Error>;
    /// Whether a pair's series and `within` share one.
    fn intersects(&self, pair: Self::Pair, within: &Postings) -> Result<bool, Self::Error>;
    /// Calls `visit` for the bytes of each value that starts with `prefix`, in order, until it
    /// says `false`.
    fn scan(
        &self,
        name: Self::Name,
        prefix: &str,
        visit: &mut Visit<'_, Self>,
    ) -> Result<(), Self::Error>;
    /// Calls `visit` for the bytes of each value that contains `needle`, which is not empty, and of
    /// others perhaps, in order, until it says `false`.
    fn scan_containing(
        &self,
        name: Self::Name,
        _needle: &str,
        visit: &mut Visit<'_, Self>,
    ) -> Result<(), Self::Error> {
        self.scan(name, "", visit)
    }
    /// The series of `ids` whose labels meet all of `matchers`.
    fn retain(&self, ids: &Postings, matchers: &[&Matcher]) -> Result<Postings, Self::Error>;
    /// The distinct values of a label of the series of `ids`, sorted.
    fn values_within(&self, ids: &Postings, name: Self::Name) -> Result<Vec<String>, Self::Error>;
    /// What reading the labels of one series costs, in values scanned.
    const READ_COST: usize;
}

/// A matcher as a set of values: their series are kept, or removed.
struct Term<'a, I: Index> {
    matcher: &'a Matcher,
    name: I::Name,
    values: Values<I::Pair>,
    keep: bool,
    /// Rough cost of the union of the values' series, in values scanned.
    cost: usize,
}

enum Values<P> {
    /// These pairs.
    Pairs(Vec<P>),
    /// Every value of the name.
    Every,
    /// The values that start with a prefix and are matched by the pattern, or not matched.
    Scan { prefix: String, matching: bool },
    /// The values that are matched by the pattern, each of which contains a literal.
    Containing(String),
}

enum Planned<'a, I: Index> {
    Everything,
    Nothing,
    Term(Term<'a, I>),
}

/// The series that meet all matchers.
pub(crate) fn select<I: Index>(index: &I, matchers: &[Matcher]) -> Result<Postings, I::Error> {
    let mut terms = Vec::new();
    for matcher in matchers {
        match plan(index, matcher)? {
            Planned::Everything => {}
            Planned::Nothing => return Ok(Postings::EMPTY),
            Planned::Term(term) => terms.push(term),
        }
    }
    // What keeps little comes first; what removes comes last.
    terms.sort_by_key(|term| (Reverse(term.keep), term.cost));
    let mut found: Option<Postings> = None;
    let mut rest = terms.as_slice();
    while let [term, others @ ..] = rest {
        if let Some(found) = &found {
            let price: usize = rest
                .iter()
                .map(|term| term.cost)
                .fold(0, usize::saturating_add);
            if found.is_empty() {
                return Ok(Postings::EMPTY);
            }
            if found.len().saturating_mul(I::READ_COST) < price {
                let left: Vec<&Matcher> = rest.iter().map(|term| term.matcher).collect();
                return index.retain(found, &left);
            }
        }
        found = Some(apply(index, term, found)?);
        rest = others;
    }
    Ok(found.unwrap_or_else(|| index.all()))
}

fn apply<I: Index>(
    index: &I,
    term: &Term<'_, I>,
    found: Option<Postings>,
) -> Result<Postings, I::Error> {
    if let (true, Values::Pairs(pairs)) = (term.keep, &term.values)
        && let [pair] = pairs.as_slice()
    {
        return index.series_of(*pair, found.as_ref());
    }
    let series = series_of_values(index, term)?;
    Ok(match (term.keep, found) {
        (true, None) => series,
        (true, Some(found)) => found.and(&series),
        (false, found) => found.unwrap_or_else(|| index.all()).and_not(&series),
    })
}

fn series_of_values<I: Index>(index: &I, term: &Term<'_, I>) -> Result<Postings, I::Error> {
    let mut union = Union::new(index.id_end());
    match &term.values {
        Values::Every => return index.present(term.name),
        Values::Pairs(pairs) => {
            if let [pair] = pairs.as_slice() {
                return index.series_of(*pair, None);
            }
            for pair in pairs {
                index.add_series_of(*pair, &mut union)?;
            }
        }
        Values::Scan { prefix, matching } => {
            index.scan(term.name, prefix, &mut |value, pair| {
                if term.matcher.positive(value) == *matching {
                    index.add_series_of(pair, &mut union)?;
                }
                Ok(true)
            })?;
        }
        Values::Containing(literal) => {
            index.scan_containing(term.name, literal, &mut |value, pair| {
                if term.matcher.positive(value) {
                    index.add_series_of(pair, &mut union)?;
                }
                Ok(true)
            })?;
        }
    }
    Ok(union.finish())
}

/// Turns a matcher into the set of values that decides it.
///
/// A matcher that does not accept a missing label keeps the series of the values it accepts; one
/// that does removes the series of the values it refuses.
fn plan<'a, I: Index>(index: &I, matcher: &'a Matcher) -> Result<Planned<'a, I>, I::Error> {
    let keep = !matcher.matches_missing();
    let Some(name) = index.find_name(matcher.name())? else {
        return Ok(if keep {
            Planned::Nothing
        } else {
            Planned::Everything
        });
    };
    // Whether the values wanted are those that the condition without negation accepts.
    let matching = keep != matcher.op().is_negative();
    let every = index.value_count(name);
    let term = |values, cost| {
        Ok(Planned::Term(Term {
            matcher,
            name,
            values,
            keep,
            cost,
        }))
    };
    let scan = |prefix: &str| {
        let prefix = prefix.to_owned();
        term(Values::Scan { prefix, matching }, every.saturating_mul(2))
    };
    let literal;
    let literals: Vec<&str> = match (matcher.op(), matcher.pattern().map(|p| (p, p.shape()))) {
        (MatchOp::Equal | MatchOp::NotEqual, _) | (_, None) => {
            literal = matcher.value();
            if literal.is_empty() {
                return term(Values::Every, every);
            }
            vec![literal]
        }
        (_, Some((_, Shape::Literals(literals)))) => {
            if !matching {
                return scan("");
            }
            literals.iter().map(|literal| &**literal).collect()
        }
        (_, Some((_, Shape::Affix { lead, literal, .. }))) if literal.is_empty() => {
            // `.*` decides nothing for values; `.+` holds for each value, as none is empty.
            return match (lead, matching) {
                (Gap::Any | Gap::Some, true) => term(Values::Every, every),
                _ if keep => Ok(Planned::Nothing),
                _ => Ok(Planned::Everything),
            };
        }
        (_, Some((_, Shape::Affix { lead, literal, .. }))) if matching && *lead != Gap::Nothing => {
            let literal = literal.to_string();
            return term(Values::Containing(literal), every / 4);
        }
        (_, Some((pattern, _))) if matching => return scan(pattern.prefix()),
        _ => return scan(""),
    };
    pairs(index, matcher, name, keep, &literals)
}

fn pairs<'a, I: Index>(
    index: &I,
    matcher: &'a Matcher,
    name: I::Name,
    keep: bool,
    literals: &[&str],
) -> Result<Planned<'a, I>, I::Error> {
    let (mut pairs, mut series) = (Vec::new(), 0usize);
    for literal in literals {
        if let Some((pair, count)) = index.find_pair(name, literal)? {
            pairs.push(pair);
            series = series.saturating_add(count);
        }
    }
    if pairs.is_empty() {
        return Ok(if keep {
            Planned::Nothing
        } else {
            Planned::Everything
        });
    }
    // Bitmaps cost an id's bit, lists a few bytes: far less than a value that is looked at.
    let cost = pairs.len() + series / 32;
    Ok(Planned::Term(Term {
        matcher,
        name,
        values: Values::Pairs(pairs),
        keep,
        cost,
    }))
}

/// The distinct label names, sorted; of the series in `within`, or of all.
pub(crate) fn label_names<I: Index>(
    index: &I,
    within: Option<&Postings>,
) -> Result<Vec<String>, I::Error> {
    let mut found = Vec::new();
    for (text, name) in index.names()? {
        if within.map_or(Ok(true), |within| {
            Ok(within.intersects(&index.present(name)?))
        })? {
            found.push(text);
        }
    }
    Ok(found)
}

/// The distinct values of a label, sorted; of the series in `within`, or of all.
pub(crate) fn label_values<I: Index>(
    index: &I,
    name: &str,
    within: Option<&Postings>,
) -> Result<Vec<String>, I::Error> {
    let Some(name) = index.find_name(name)? else {
        return Ok(Vec::new());
    };
    if let Some(within) = within
        && within.len().saturating_mul(I::READ_COST) < index.value_count(name).saturating_mul(2)
    {
        return index.values_within(within, name);
    }
    let mut found = Vec::with_capacity(match within {
        Some(_) => 0,
        // A count from a file is not believed beyond this.
        None => index.value_count(name).min(1 << 16),
    });
    index.scan(name, "", &mut |value, pair| {
        if within.map_or(Ok(true), |within| index.intersects(pair, within))? {
            match std::str::from_utf8(value) {
                Ok(value) => found.push(value.to_owned()),
                Err(_) => found.push(index.value_text(pair)?.to_owned()),
            }
        }
        Ok(true)
    })?;
    Ok(found)
}
