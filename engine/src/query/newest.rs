//! The newest sample of a series.
//!
//! Input: its runs. Output: the sample that comes last in time; of several with that timestamp that
//! of the run latest in the list. Runs are asked from the one that reaches furthest on, each by
//! itself, until none that is left can reach beyond what was found: mostly one, often by its
//! statistics alone.

use treering_codec::Sample;

use super::guard::Buffers;
use super::run::Run;
use crate::error::Result;

/// See the head of this file; with columns that the next series uses again.
#[derive(Debug)]
pub(crate) struct Newest {
    buffers: Buffers,
    timestamps: Vec<i64>,
    values: Vec<f64>,
}

impl Newest {
    pub(crate) fn new(buffers: Buffers) -> Self {
        Self {
            buffers,
            timestamps: Vec::new(),
            values: Vec::new(),
        }
    }

    /// The newest sample of `runs` in `first..=last`.
    pub(crate) fn of(&mut self, runs: &[Run], first: i64, last: i64) -> Result<Option<Sample>> {
        // By what they are tried in turn: how far they reach, then precedence.
        let keys = || {
            let runs = runs.iter().enumerate();
            runs.filter(|(_, run)| run.overlaps(first, last))
                .map(|(at, run)| (run.max_time.min(last), at))
        };
        let mut found: Option<((i64, usize), f64)> = None;
        let mut tried = None;
        loop {
            let next = keys().filter(|key| tried.is_none_or(|tried| *key < tried));
            let Some(key) = next.max() else { break };
            // The runs that are left are tried after this one: they reach no further.
            if found.is_some_and(|(best, _)| key < best) {
                break;
            }
            if let Some(sample) = self.of_run(&runs[key.1], first, last)?
                && found.is_none_or(|(best, _)| best < (sample.timestamp, key.1))
            {
                found = Some(((sample.timestamp, key.1), sample.value));
            }
            tried = Some(key);
        }
        Ok(found.map(|((timestamp, _), value)| Sample { timestamp, value }))
    }

    fn of_run(&mut self, run: &Run, first: i64, last: i64) -> Result<Option<Sample>> {
        if let Some(sample) = run.last_sample().filter(|sample| sample.timestamp <= last) {
            return Ok(Some(sample));
        }
        self.buffers.read(run.count as u64, 0, false)?;
        self.timestamps.clear();
        self.values.clear();
        run.decode(&mut self.timestamps, &mut self.values)?;
        let end = self.timestamps.partition_point(|&at| at <= last);
        let newest = end.checked_sub(1).map(|at| Sample {
            timestamp: self.timestamps[at],
            value: self.values[at],
        });
        Ok(newest.filter(|sample| sample.timestamp >= first))
    }
}
