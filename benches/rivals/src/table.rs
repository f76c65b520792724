//! The tables that people read.
//!
//! Input: what was measured of each codec over one corpus. Output: lines on the terminal, one per
//! codec and what it holds; times are medians.

use crate::codec::{Column, Holds};
use crate::measure::{Entry, Size, Speed, median};

/// One codec over one corpus.
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) holds: Holds,
    pub(crate) size: Size,
    pub(crate) speed: Speed,
}

impl Line {
    pub(crate) fn new(entry: &Entry, size: Size) -> Self {
        Self {
            name: entry.codec.name(),
            holds: entry.holds,
            size,
            speed: Speed::default(),
        }
    }
}

/// Prints one corpus at one length of chunks.
pub(crate) fn print(corpus: &str, length: usize, columns: &[Column<'_>], lines: &[Line]) {
    let samples: usize = columns.iter().map(|column| column.values.len()).sum();
    let chunks = columns.len();
    println!("\n{corpus}, chunks of {length}: {chunks} chunks, {samples} samples");
    println!(
        "  {:9} {:10} {:>9} {:>9} {:>9} {:>9}",
        "", "", "B/sample", "shared", "encode ns", "decode ns"
    );
    for line in lines {
        let what = match line.holds {
            Holds::Values => "values",
            Holds::Times(_) => "timestamps",
            Holds::Samples(_) => "both",
        };
        let shared = match line.holds {
            Holds::Times(_) => format!("{:.4}", line.size.shared),
            _ => String::new(),
        };
        println!(
            "  {what:10} {:9} {:9.4} {shared:>9} {:9.2} {:9.2}",
            line.name,
            line.size.whole,
            median(&line.speed.encode),
            median(&line.speed.decode)
        );
    }
    let find = |name: &str, is_values: bool| {
        let mut found = lines.iter().filter(|line| line.name == name);
        found.find(|line| match line.holds {
            Holds::Values => is_values,
            Holds::Times(_) => !is_values,
            Holds::Samples(_) => false,
        })
    };
    for name in ["treering", "gorilla", "pco8"] {
        if let (Some(values), Some(times)) = (find(name, true), find(name, false)) {
            println!(
                "  {:10} {name:9} {:9.4} {:9.4}",
                "columns",
                values.size.whole + times.size.whole,
                values.size.whole + times.size.shared
            );
        }
    }
}
