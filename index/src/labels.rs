//! Labels: the sorted set of name=value pairs that is the identity of a series.
//!
//! Input: pairs in any order, canonical bytes, or text. Output: one shared byte string, the
//! canonical form: per pair `varint name length, name, varint value length, value`, pairs sorted
//! by name. Invariant: names are unique and in ascending byte order, values are never empty, both
//! are UTF-8; so equal sets have equal bytes.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use treering_codec::varint::{Reader, put_bytes};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Error, Result, cut};
use crate::fast;
use crate::limits::{HARD_MAX_LABELS, LabelLimits};
use crate::text;

/// The label that holds the metric name.
pub const METRIC_NAME: &str = "__name__";

/// Name and version of the function of [`Labels::hash64`]; stored wherever the hash is stored.
pub const SERIES_HASH: &str = "xxh3-64/1";

/// A sorted set of name=value pairs. Cloning copies a pointer.
///
/// ```
/// use treering_index::Labels;
/// let labels = Labels::from_pairs([("host", "a"), ("__name__", "cpu")])?;
/// assert_eq!(labels.to_string(), r#"cpu{host="a"}"#);
/// assert_eq!(labels.get("host"), Some("a"));
/// # Ok::<(), treering_index::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Labels {
    canonical: Arc<[u8]>,
}

impl Labels {
    /// The set without pairs.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The set of `pairs`, given in any order. Pairs with an empty value are left out, as an
    /// empty value and a missing label are the same. Refuses empty or duplicate names and
    /// anything above the hard maxima of [`LabelLimits::HARD`].
    pub fn from_pairs<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Result<Self>
    where
        N: AsRef<str>,
        V: AsRef<str>,
    {
        let mut pairs: Vec<(N, V)> = pairs.into_iter().collect();
        pairs.sort_by(|a, b| a.0.as_ref().cmp(b.0.as_ref()));
        for pair in pairs.windows(2) {
            if let [(first, _), (second, _)] = pair
                && first.as_ref() == second.as_ref()
            {
                return Err(Error::DuplicateName {
                    name: cut(first.as_ref(), 64),
                });
            }
        }
        pairs.retain(|(name, value)| !value.as_ref().is_empty() || name.as_ref().is_empty());
        if pairs.len() > HARD_MAX_LABELS {
            return Err(Error::TooManyLabels {
                count: pairs.len(),
                max: HARD_MAX_LABELS,
            });
        }
        let mut canonical = Vec::new();
        for (name, value) in &pairs {
            LabelLimits::HARD.check_pair(name.as_ref(), value.as_ref())?;
            put_pair(
                &mut canonical,
                name.as_ref().as_bytes(),
                value.as_ref().as_bytes(),
            );
        }
        Ok(Self::from_canonical_unchecked(&canonical))
    }

    /// What [`labels!`](crate::labels!) calls: never fails. The last of duplicate names wins, even
    /// with an empty value, which leaves the label out. Limits are not checked here; an index and
    /// a database check them when the series is made.
    pub fn from_literals(pairs: &[(&str, &str)]) -> Self {
        let mut sorted: Vec<(&str, &str)> = pairs.to_vec();
        sorted.sort_by(|a, b| a.0.cmp(b.0));
        let mut canonical = Vec::new();
        for (index, (name, value)) in sorted.iter().enumerate() {
            let overridden = sorted.get(index + 1).is_some_and(|next| next.0 == *name);
            if !overridden && !value.is_empty() {
                put_pair(&mut canonical, name.as_bytes(), value.as_bytes());
            }
        }
        Self::from_canonical_unchecked(&canonical)
    }

    /// A builder, for pairs that come one by one.
    pub fn builder() -> LabelsBuilder {
        LabelsBuilder { pairs: Vec::new() }
    }

    /// Reads the canonical form back. Refuses bytes that [`as_canonical`](Self::as_canonical)
    /// cannot have given, with the offset of the damage.
    pub fn from_canonical(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        let mut previous: &str = "";
        let mut count = 0;
        while !reader.is_empty() {
            let offset = reader.offset();
            let name = canonical_str(&mut reader)?;
            let value = canonical_str(&mut reader)?;
            let wrong = if name.is_empty() || value.is_empty() {
                Some("an empty label name or value")
            } else if count > 0 && name <= previous {
                Some("label names out of order")
            } else if count >= HARD_MAX_LABELS {
                Some("too many labels")
            } else if LabelLimits::HARD.check_pair(name, value).is_err() {
                Some("an oversized label")
            } else {
                None
            };
            if let Some(what) = wrong {
                return Err(treering_codec::Error::Malformed { offset, what }.into());
            }
            previous = name;
            count += 1;
        }
        let labels = Self::from_canonical_unchecked(bytes);
        if labels.rebuild().as_slice() == bytes {
            Ok(labels)
        } else {
            let what = "an overlong length in a label set";
            Err(treering_codec::Error::Malformed { offset: 0, what }.into())
        }
    }

    /// Bytes that are known to keep the invariant of this file.
    pub(crate) fn from_canonical_unchecked(bytes: &[u8]) -> Self {
        Self {
            canonical: Arc::from(bytes),
        }
    }

    /// Reads Prometheus' text form, e.g. `cpu{host="a"}` or `{"my.metric", "a b"="c"}`.
    /// Errors carry `line:col`.
    pub fn parse(text: &str) -> Result<Self> {
        text::parse_labels(text)
    }

    /// The canonical form: two label sets are equal when and only when these bytes are.
    pub fn as_canonical(&self) -> &[u8] {
        &self.canonical
    }

    /// The value of the label `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        for (found, value) in self.raw() {
            match found.cmp(name.as_bytes()) {
                Ordering::Less => {}
                Ordering::Equal => return Some(fast::text(value)),
                Ordering::Greater => return None,
            }
        }
        None
    }

    /// The metric name: the value of `__name__`.
    pub fn name(&self) -> Option<&str> {
        self.get(METRIC_NAME)
    }

    /// The pairs in ascending order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.raw()
            .map(|(name, value)| (fast::text(name), fast::text(value)))
    }

    /// The pairs as bytes.
    pub(crate) fn raw(&self) -> RawPairs<'_> {
        RawPairs::new(&self.canonical)
    }

    /// Number of pairs. O(pairs).
    pub fn len(&self) -> usize {
        self.raw().count()
    }

    /// Whether there are no pairs.
    pub fn is_empty(&self) -> bool {
        self.canonical.is_empty()
    }

    /// The series hash: xxh3-64, seed 0, of the canonical bytes; see [`SERIES_HASH`]. It never
    /// changes for a label set, so shards may be cut by it.
    pub fn hash64(&self) -> u64 {
        xxh3_64(&self.canonical)
    }

    /// Only the pairs whose name is in `names`.
    #[must_use]
    pub fn keep<S: AsRef<str>>(&self, names: &[S]) -> Self {
        self.filtered(|found| names.iter().any(|name| name.as_ref().as_bytes() == found))
    }

    /// The pairs whose name is not in `names`.
    #[must_use]
    pub fn without<S: AsRef<str>>(&self, names: &[S]) -> Self {
        self.filtered(|found| names.iter().all(|name| name.as_ref().as_bytes() != found))
    }

    fn filtered(&self, wanted: impl Fn(&[u8]) -> bool) -> Self {
        let mut canonical = Vec::with_capacity(self.canonical.len());
        for (name, value) in self.raw().filter(|(name, _)| wanted(name)) {
            put_pair(&mut canonical, name, value);
        }
        Self::from_canonical_unchecked(&canonical)
    }

    fn rebuild(&self) -> Vec<u8> {
        let mut canonical = Vec::with_capacity(self.canonical.len());
        self.raw()
            .for_each(|(name, value)| put_pair(&mut canonical, name, value));
        canonical
    }
}

/// Appends one pair in canonical form.
pub(crate) fn put_pair(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    put_bytes(out, name);
    put_bytes(out, value);
}

fn canonical_str<'a>(reader: &mut Reader<'a>) -> Result<&'a str> {
    let offset = reader.offset();
    let bytes = reader.bytes()?;
    std::str::from_utf8(bytes).map_err(|_| {
        treering_codec::Error::Malformed {
            offset,
            what: "a label that is not UTF-8",
        }
        .into()
    })
}

/// The pairs of canonical bytes; ends at the first byte that is not canonical.
#[derive(Debug, Clone)]
pub(crate) struct RawPairs<'a> {
    rest: &'a [u8],
}

impl<'a> RawPairs<'a> {
    /// The pairs of `canonical`.
    #[inline]
    pub(crate) fn new(canonical: &'a [u8]) -> Self {
        Self { rest: canonical }
    }

    /// The bytes not yet read.
    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for RawPairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        Some((fast::slice(&mut self.rest)?, fast::slice(&mut self.rest)?))
    }
}

/// Compares two canonical forms pair by pair: name, then value; a prefix comes first.
pub(crate) fn compare_canonical(a: &[u8], b: &[u8]) -> Ordering {
    RawPairs::new(a).cmp(RawPairs::new(b))
}

impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        compare_canonical(&self.canonical, &other.canonical)
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Labels {
    /// Prometheus' text form; [`Labels::parse`] reads it back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write_labels(f, self)
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Labels {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

/// Collects pairs one by one; see [`Labels::builder`].
#[derive(Debug, Clone, Default)]
pub struct LabelsBuilder {
    pairs: Vec<(String, String)>,
}

impl LabelsBuilder {
    /// Sets the label `name`, replacing an earlier value; an empty `value` removes it.
    #[must_use]
    pub fn set(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let (name, value) = (name.into(), value.into());
        match self.pairs.iter_mut().find(|(known, _)| *known == name) {
            Some(pair) => pair.1 = value,
            None => self.pairs.push((name, value)),
        }
        self
    }

    /// The labels, or the error of [`Labels::from_pairs`].
    pub fn build(self) -> Result<Labels> {
        Labels::from_pairs(self.pairs)
    }
}

/// Labels from pairs that the program itself wrote: `labels! { "__name__" => "cpu" }`.
///
/// Evaluates to [`Labels`], never fails and never panics: the last of duplicate names wins, and a
/// pair with an empty value is left out. For names and values that users give, use
/// [`Labels::from_pairs`], which checks them.
#[macro_export]
macro_rules! labels {
    ($($name:expr => $value:expr),* $(,)?) => {
        $crate::Labels::from_literals(&[$((
            ::core::convert::AsRef::<str>::as_ref(&$name),
            ::core::convert::AsRef::<str>::as_ref(&$value),
        )),*])
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_sorted_and_empty_values_left_out() {
        let labels = Labels::from_pairs([("b", "2"), ("a", "1"), ("c", "")]).unwrap();
        assert_eq!(labels.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
        assert_eq!(labels.len(), 2);
        assert_eq!(
            (labels.get("b"), labels.get("c"), labels.get("0")),
            (Some("2"), None, None)
        );
        assert_eq!(labels.as_canonical(), b"\x01a\x011\x01b\x012");
        assert_eq!(
            labels,
            crate::labels! { "a" => "1", "b" => "x", "b" => String::from("2") }
        );
        assert_eq!(Labels::empty(), crate::labels! {});
    }

    #[test]
    fn bad_labels_are_refused_by_name() {
        let twice = Labels::from_pairs([("a", "1"), ("a", "")]);
        assert_eq!(twice, Err(Error::DuplicateName { name: "a".into() }));
        let nameless = Labels::from_pairs([("", "v")]);
        assert_eq!(nameless, Err(Error::EmptyName { value: "v".into() }));
        let long = "x".repeat((64 << 10) + 1);
        assert!(matches!(
            Labels::from_pairs([("a", &long)]),
            Err(Error::ValueTooLong { .. })
        ));
        assert!(matches!(
            Labels::from_pairs([(&long, "a")]),
            Err(Error::NameTooLong { .. })
        ));
        let many: Vec<_> = (0..1025).map(|n| (format!("n{n}"), "v")).collect();
        assert!(matches!(
            Labels::from_pairs(many),
            Err(Error::TooManyLabels { .. })
        ));
    }

    #[test]
    fn order_is_by_pair_and_not_by_bytes() {
        let of = |pairs: &[(&str, &str)]| Labels::from_pairs(pairs.iter().copied()).unwrap();
        let sorted = [
            of(&[]),
            of(&[("a", "bb")]),
            of(&[("a", "bb"), ("b", "1")]),
            of(&[("a", "c")]),
            of(&[("aa", "1")]),
            of(&[("b", "1")]),
        ];
        assert!(sorted.is_sorted());
        // Canonical bytes would sort the shorter value first.
        assert!(of(&[("a", "bb")]) < of(&[("a", "c")]));
    }

    #[test]
    fn canonical_bytes_come_back_or_are_refused() {
        let labels = Labels::from_pairs([("a", "1"), ("b", "\u{e9}")]).unwrap();
        assert_eq!(
            Labels::from_canonical(labels.as_canonical()).unwrap(),
            labels
        );
        for bad in [
            &b"\x01a"[..],
            b"\x01a\x00",
            b"\x00\x01a",
            b"\x01b\x011\x01a\x012",
            b"\x01a\x011\x01a\x012",
            b"\x01a\x01\xff",
            b"\x81\x00a\x011",
            b"\x09a\x011",
        ] {
            assert!(
                Labels::from_canonical(bad).unwrap_err().is_corruption(),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn grouping_keeps_and_drops() {
        let labels = Labels::from_pairs([("a", "1"), ("b", "2"), ("c", "3")]).unwrap();
        assert_eq!(
            labels.keep(&["c", "a", "x"]),
            crate::labels! { "a" => "1", "c" => "3" }
        );
        assert_eq!(
            labels.without(&["c", "x"]),
            crate::labels! { "a" => "1", "b" => "2" }
        );
    }

    #[test]
    fn series_hash_is_frozen() {
        // Shards and files depend on these numbers.
        assert_eq!(Labels::empty().hash64(), 0x2d06_8005_38d3_94c2);
        let labels = crate::labels! { "__name__" => "cpu", "host" => "a" };
        assert_eq!(
            labels.hash64(),
            xxh3_64(b"\x08__name__\x03cpu\x04host\x01a")
        );
    }

    #[test]
    fn builder_replaces_and_removes() {
        let labels = Labels::builder()
            .set("a", "1")
            .set("b", "2")
            .set("a", "")
            .build()
            .unwrap();
        assert_eq!(labels, crate::labels! { "b" => "2" });
    }
}
