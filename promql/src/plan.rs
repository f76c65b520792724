//! Plan: how a query would be answered, for people to read.
//!
//! Input: none; the evaluator makes it. Output: a tree, and its text. Invariant: a plan is made
//! without reading a sample; what a selector would read is what its source says.

use std::fmt;

/// A part of a query, how it would be answered, and the parts that it needs for that. Prints as a
/// tree, one line for each part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The part: an operator, a function, an aggregation without what it is applied to; or a
    /// selector as Prometheus prints it.
    pub what: String,
    /// How it would be answered.
    pub how: String,
    /// What it would read itself: selectors do.
    pub reads: Option<Reads>,
    /// What it is applied to, in the order of the text.
    pub children: Vec<Plan>,
}

/// What a selector would read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reads {
    /// Series that it finds.
    pub series: u64,
    /// Their chunks that may hold samples of the range, where the source tells, and zero where it
    /// does not.
    pub chunks: u64,
    /// Samples in these chunks.
    pub samples: u64,
    /// Bytes of these chunks as they are stored.
    pub bytes: u64,
    /// The first timestamp that is asked for, in nanoseconds since the Unix epoch.
    pub first: i64,
    /// The last one.
    pub last: i64,
}

impl Plan {
    /// What all selectors together would read; the times are those of the earliest and of the
    /// latest sample.
    pub fn total(&self) -> Reads {
        let below = self.children.iter().map(Plan::total);
        let all = self.reads.into_iter().chain(below);
        let both = |a: Reads, b: Reads| match (a.first, a.last) {
            _ if b == Reads::default() => a,
            _ if a == Reads::default() => b,
            (first, last) => Reads {
                series: a.series + b.series,
                chunks: a.chunks + b.chunks,
                samples: a.samples + b.samples,
                bytes: a.bytes + b.bytes,
                first: first.min(b.first),
                last: last.max(b.last),
            },
        };
        all.fold(Reads::default(), both)
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        write!(f, "{:indent$}{}", "", self.what, indent = 2 * depth)?;
        if !self.how.is_empty() {
            write!(f, ": {}", self.how)?;
        }
        if let Some(reads) = &self.reads {
            write!(f, "; {reads}")?;
        }
        writeln!(f)?;
        let mut children = self.children.iter();
        children.try_for_each(|child| child.write(f, depth + 1))
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}

impl fmt::Display for Reads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} series", self.series)?;
        match self.chunks {
            0 => Ok(()),
            chunks => write!(
                f,
                ", {chunks} chunks, {} samples, {} bytes",
                self.samples, self.bytes
            ),
        }
    }
}
