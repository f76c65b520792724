//! Rows of a frame put together by their labels.
//!
//! Input: for each label column the number of each row's text. Output: rows by series, those of one
//! series in their order. Invariant: series keep their numbers over all pieces of a frame.

use std::collections::HashMap;

/// The series of a frame met so far.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    steps: Vec<Step>,
}

/// One label column: a series so far and a text make a longer one.
#[derive(Debug, Default)]
struct Step {
    known: HashMap<(u32, u32), u32>,
    /// What each number was made of.
    parts: Vec<(u32, u32)>,
}

/// Rows in order of their series.
#[derive(Debug)]
pub(crate) struct Sorted {
    /// Row numbers; empty where all rows are of one series.
    pub(crate) order: Vec<u32>,
    /// Each series with where its rows begin in `order`; a last one with the end.
    pub(crate) series: Vec<(u32, usize)>,
}

impl Groups {
    /// Of frames with so many label columns.
    pub(crate) fn new(columns: usize) -> Self {
        let mut steps = Vec::new();
        steps.resize_with(columns, Step::default);
        Self { steps }
    }

    /// The series of each row; `columns` are as many as was said.
    pub(crate) fn series_of(&mut self, rows: usize, columns: &[Vec<u32>]) -> Vec<u32> {
        let mut series = vec![0; rows];
        for (step, column) in self.steps.iter_mut().zip(columns) {
            step.add(&mut series, column);
        }
        series
    }

    /// The number of a series' text in each label column, the last column first.
    pub(crate) fn texts_of(&self, mut series: u32) -> Vec<u32> {
        let mut texts = Vec::with_capacity(self.steps.len());
        for step in self.steps.iter().rev() {
            let (before, text) = step.parts.get(series as usize).copied().unwrap_or_default();
            texts.push(text);
            series = before;
        }
        texts
    }
}

impl Step {
    fn add(&mut self, series: &mut [u32], column: &[u32]) {
        let mut last = None;
        for (series, text) in series.iter_mut().zip(column) {
            let key = (*series, *text);
            let number = match last {
                Some((same, number)) if same == key => number,
                _ => *self.known.entry(key).or_insert_with(|| {
                    self.parts.push(key);
                    // Fewer than the rows of a frame, which are numbered by 32 bits too.
                    self.parts.len() as u32 - 1
                }),
            };
            last = Some((key, number));
            *series = number;
        }
    }
}

/// Sorts rows by their series, by counting: stable, in time linear in rows and series.
pub(crate) fn sorted(series: &[u32]) -> Sorted {
    let Some(&first) = series.first() else {
        let (order, series) = (Vec::new(), vec![(0, 0)]);
        return Sorted { order, series };
    };
    if series.iter().all(|&one| one == first) {
        let (order, series) = (Vec::new(), vec![(first, 0), (first, series.len())]);
        return Sorted { order, series };
    }
    // Series by the place where they came first in this piece, not by their numbers of the frame,
    // which may be many more.
    let mut places: HashMap<u32, u32> = HashMap::new();
    let (mut counts, mut local): (Vec<(u32, usize)>, Vec<u32>) = (Vec::new(), Vec::new());
    let mut last = (first, u32::MAX);
    for &one in series {
        if last.0 != one || last.1 == u32::MAX {
            let place = *places.entry(one).or_insert_with(|| {
                counts.push((one, 0));
                counts.len() as u32 - 1
            });
            last = (one, place);
        }
        counts[last.1 as usize].1 += 1;
        local.push(last.1);
    }
    let mut begin = 0;
    for (_, count) in &mut counts {
        begin += std::mem::replace(count, begin);
    }
    let mut next: Vec<usize> = counts.iter().map(|&(_, begin)| begin).collect();
    let mut order = vec![0; series.len()];
    for (row, place) in local.into_iter().enumerate() {
        let at = &mut next[place as usize];
        order[*at] = row as u32;
        *at += 1;
    }
    counts.push((0, series.len()));
    let series = counts;
    Sorted { order, series }
}
