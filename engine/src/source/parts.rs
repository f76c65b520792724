//! Parts: the series of a selector, split so that several threads can read them.
//!
//! Input: sets of series that follow each other, and the threads that a source lends. Output: what
//! was made of each set, in their order. Invariant: work done with many threads gives what one
//! gives; the threads go back when it is done.

use std::fmt;

use super::SourceSet;
use crate::sync::{LentThreads, side_by_side};

/// The series of a selector in one or several sets; see [`Source::select_parts`].
///
/// [`Source::select_parts`]: super::Source::select_parts
pub struct SourceParts<'a> {
    sets: Vec<SourceSet<'a>>,
    lent: Option<LentThreads<'a>>,
}

impl<'a> SourceParts<'a> {
    /// All series in one set, for one thread.
    pub fn one(set: SourceSet<'a>) -> Self {
        Self {
            sets: vec![set],
            lent: None,
        }
    }

    /// Sets that follow each other in the order of labels, for the threads that were lent and the
    /// one that asks.
    pub(crate) fn lent(sets: Vec<SourceSet<'a>>, lent: LentThreads<'a>) -> Self {
        Self {
            sets,
            lent: Some(lent),
        }
    }

    /// On how many threads [`SourceParts::each`] works at most, the caller's among them.
    pub fn threads(&self) -> usize {
        let lent = self.lent.as_ref().map_or(0, |lent| lent.count);
        self.sets.len().min(lent + 1).max(1)
    }

    /// Does `work` with each set. The results come in the order of the sets; after an error, which
    /// is one of those that there were, no other set is begun.
    ///
    /// ```
    /// use treering::{Batch, Db, Error, Selector, Source, labels};
    /// let db = Db::in_memory()?;
    /// for host in ["a", "b"] {
    ///     let cpu = labels! { "__name__" => "cpu", "host" => host };
    ///     db.append(&Batch::new().column(cpu, &[1, 2], &[3.0, 4.0]))?;
    /// }
    /// let parts = db.select_parts(&Selector::metric("cpu"), 0, 9)?;
    /// let samples = parts.each(|series| {
    ///     let mut samples = 0;
    ///     for series in series {
    ///         samples += series?.read()?.values.len();
    ///     }
    ///     Ok::<usize, Error>(samples)
    /// })?;
    /// assert_eq!(samples.into_iter().sum::<usize>(), 4);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn each<R, E>(
        self,
        work: impl Fn(SourceSet<'a>) -> Result<R, E> + Sync,
    ) -> Result<Vec<R>, E>
    where
        R: Send,
        E: Send,
    {
        let threads = self.threads();
        side_by_side(self.sets, threads, work)
    }
}

impl fmt::Debug for SourceParts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("SourceParts");
        shown.field("sets", &self.sets.len());
        shown.field("threads", &self.threads()).finish()
    }
}
