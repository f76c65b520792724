//! What samples have beside their floats, by time: histograms, and starts.
//!
//! Input: extras by the place of their sample in a run. Output: the same by timestamp, for columns
//! that are cut, clipped and joined on their way; and by place again. Invariant: both lists rise in
//! time; entries of timestamps that no sample has mean nothing.

use std::ops::RangeInclusive;
use std::sync::Arc;

use treering_codec::{Extras, ExtrasForm, Histogram, decode_extras, encode_extras, has_histograms};

/// See the head of this file.
#[derive(Debug, Clone, Default)]
pub(crate) struct TimedExtras {
    histograms: Vec<(i64, Arc<Histogram>)>,
    /// Samples of these times count since the timestamp behind.
    starts: Vec<(RangeInclusive<i64>, i64)>,
}

/// No extras, for columns without any.
pub(crate) static NO_EXTRAS: TimedExtras = TimedExtras {
    histograms: Vec::new(),
    starts: Vec::new(),
};

impl TimedExtras {
    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.histograms.is_empty() && self.starts.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.histograms.clear();
        self.starts.clear();
    }

    /// Adds those of samples that lie behind all so far: of the places of `timestamps`.
    pub(crate) fn add(&mut self, extras: &Extras, timestamps: &[i64]) {
        for (place, histogram) in &extras.histograms {
            if let Some(&at) = timestamps.get(*place as usize) {
                self.histograms.push((at, Arc::clone(histogram)));
            }
        }
        for (places, start) in &extras.starts {
            let end = timestamps.len().min(places.end as usize);
            let times = timestamps.get(places.start as usize..end);
            if let Some((first, last)) = times.and_then(|times| times.first().zip(times.last())) {
                self.starts.push((*first..=*last, *start));
            }
        }
    }

    /// Adds those of `other` in `first..=last`, which lie behind all so far.
    pub(crate) fn add_within(&mut self, other: &Self, first: i64, last: i64) {
        let from = other.histograms.partition_point(|one| one.0 < first);
        let rest = other.histograms.get(from..).unwrap_or_default();
        let inside = rest.iter().take_while(|one| one.0 <= last);
        self.histograms.extend(inside.cloned());
        let from = other.starts.partition_point(|run| *run.0.end() < first);
        for (times, start) in other.starts.get(from..).unwrap_or_default() {
            if *times.start() > last {
                break;
            }
            let times = (*times.start()).max(first)..=(*times.end()).min(last);
            self.starts.push((times, *start));
        }
    }

    /// Leaves only those in `first..=last` whose time is kept.
    pub(crate) fn retain(&mut self, first: i64, last: i64, keeps: impl Fn(i64) -> bool) {
        let inside = |at: i64| (first..=last).contains(&at);
        self.histograms.retain(|one| inside(one.0) && keeps(one.0));
        self.starts.retain_mut(|(times, _)| {
            *times = (*times.start()).max(first)..=(*times.end()).min(last);
            !times.is_empty()
        });
    }

    /// Leaves those of the last sample, which is at `last`, and behind.
    pub(crate) fn keep_from(&mut self, last: i64) {
        self.retain(last, i64::MAX, |_| true);
    }

    /// The extras of the samples at `timestamps`, ascending, by place.
    pub(crate) fn placed(&self, timestamps: &[i64]) -> Extras {
        let mut extras = Extras::new();
        let (Some(&first), Some(&last)) = (timestamps.first(), timestamps.last()) else {
            return extras;
        };
        let from = self.histograms.partition_point(|one| one.0 < first);
        let rest = self.histograms.get(from..).unwrap_or_default();
        for (at, histogram) in rest.iter().take_while(|one| one.0 <= last) {
            if let Ok(place) = timestamps.binary_search(at) {
                extras
                    .histograms
                    .push((place as u32, Arc::clone(histogram)));
            }
        }
        let from = self.starts.partition_point(|run| *run.0.end() < first);
        for (times, start) in self.starts.get(from..).unwrap_or_default() {
            if *times.start() > last {
                break;
            }
            let from = timestamps.partition_point(|at| at < times.start());
            let to = timestamps.partition_point(|at| at <= times.end());
            extras.push_starts(from as u32..to as u32, *start);
        }
        extras
    }

    /// Bytes of heap that they take, histograms included, whoever shares them.
    pub(crate) fn heap_bytes(&self) -> usize {
        let counts = 2 * size_of::<usize>() + size_of::<Histogram>();
        let histograms = self.histograms.iter();
        let histograms = histograms.map(|one| counts + one.1.heap_bytes());
        histograms.sum::<usize>()
            + self.histograms.capacity() * size_of::<(i64, Arc<Histogram>)>()
            + self.starts.capacity() * size_of::<(RangeInclusive<i64>, i64)>()
    }
}

/// The extras of a run of a head, by place.
#[derive(Debug)]
pub(crate) enum HeadExtras {
    /// As they came.
    Plain(Extras),
    /// Encoded, for as many samples as the run has.
    Packed(Box<[u8]>),
}

impl HeadExtras {
    /// Extras in few bytes; `None` when there are none.
    pub(crate) fn packed(extras: &Extras) -> Option<Arc<Self>> {
        if extras.is_empty() {
            return None;
        }
        let mut bytes = Vec::new();
        encode_extras(extras, ExtrasForm::Columns, &mut bytes);
        Some(Arc::new(Self::Packed(bytes.into())))
    }

    /// Extras as they are; `None` when there are none.
    pub(crate) fn plain(extras: Extras) -> Option<Arc<Self>> {
        (!extras.is_empty()).then(|| Arc::new(Self::Plain(extras)))
    }

    /// Adds them to `out`; `timestamps` are those of all samples of the run.
    pub(crate) fn read(
        &self,
        timestamps: &[i64],
        out: &mut TimedExtras,
    ) -> treering_codec::Result<()> {
        match self {
            Self::Plain(extras) => out.add(extras, timestamps),
            Self::Packed(bytes) => out.add(&decode_extras(bytes, timestamps.len())?, timestamps),
        }
        Ok(())
    }

    /// Whether any sample is a histogram.
    pub(crate) fn has_histograms(&self) -> treering_codec::Result<bool> {
        match self {
            Self::Plain(extras) => Ok(!extras.histograms.is_empty()),
            Self::Packed(bytes) => has_histograms(bytes),
        }
    }

    /// Heap that they take, in bytes, with the counts of those who share them.
    pub(crate) fn heap_bytes(&self) -> usize {
        let own = match self {
            Self::Plain(extras) => extras.heap_bytes(),
            Self::Packed(bytes) => bytes.len(),
        };
        2 * size_of::<usize>() + size_of::<Self>() + own
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(count: f64) -> Arc<Histogram> {
        Arc::new(Histogram {
            count,
            ..Histogram::default()
        })
    }

    /// Extras of samples at 10, 20, ... 100; a start of 5 from 30 to 80.
    fn some() -> (Vec<i64>, Extras, TimedExtras) {
        let times: Vec<i64> = (1..=10).map(|at| at * 10).collect();
        let mut extras = Extras::new();
        for place in 0..10 {
            let start = if (2..8).contains(&place) { 5 } else { 0 };
            let one = (place % 2 == 0).then(|| histogram(f64::from(place)));
            extras.push(place, one, start);
        }
        let mut timed = TimedExtras::default();
        timed.add(&extras, &times);
        (times, extras, timed)
    }

    #[test]
    fn places_become_times_and_places_again() {
        let (times, extras, timed) = some();
        assert!(timed.placed(&times).is_identical(&extras));
        for from in 0..10 {
            for to in from..10 {
                let part = timed.placed(&times[from..to]);
                assert!(part.is_identical(&extras.slice(from as u32..to as u32)));
            }
        }
    }

    #[test]
    fn what_is_cut_and_joined_is_as_before() {
        let (times, extras, timed) = some();
        let mut joined = TimedExtras::default();
        for part in times.chunks(3) {
            joined.add_within(&timed, part[0], part[part.len() - 1]);
        }
        assert!(joined.placed(&times).is_identical(&extras));
        joined.retain(20, 90, |at| at != 50);
        let left = [20, 30, 40, 60, 70, 80, 90];
        let wanted = extras.pick([1, 2, 3, 5, 6, 7, 8]);
        assert!(joined.placed(&left).is_identical(&wanted));
        joined.keep_from(90);
        assert_eq!(joined.placed(&times).histograms.len(), 1);
    }

    #[test]
    fn packed_and_plain_tell_the_same() {
        let (times, extras, _) = some();
        let (plain, packed) = (
            HeadExtras::plain(extras.clone()).unwrap(),
            HeadExtras::packed(&extras).unwrap(),
        );
        for kept in [plain, packed] {
            let mut timed = TimedExtras::default();
            kept.read(&times, &mut timed).unwrap();
            assert!(timed.placed(&times).is_identical(&extras));
            assert!(kept.has_histograms().unwrap() && kept.heap_bytes() > 32);
        }
        assert!(HeadExtras::packed(&Extras::new()).is_none());
    }
}
