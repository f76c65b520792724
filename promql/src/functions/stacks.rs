//! Stacks: what overlapping windows come to, without going through each of them anew.
//!
//! Input: things in a row that can be put together, and windows whose edges only go on. Output:
//! what each window comes to. Invariant: each thing is put in once and taken out once; nothing is
//! ever subtracted, so nothing cancels that did not cancel in the window itself. The queue of two
//! stacks is after R. Hood and R. Melville, "Real-time queue operations in pure LISP" (1981).

/// How neighbours are put together; it does not matter which two first.
pub(super) trait Join {
    /// What some neighbours come to.
    type Sum: Copy;

    /// What the one at a place comes to.
    fn one(&self, at: usize) -> Self::Sum;

    /// What two stretches come to, the first right before the second.
    fn join(&self, first: Self::Sum, second: Self::Sum) -> Self::Sum;
}

/// A window that slides over things in a row.
#[derive(Debug)]
pub(super) struct Stacks<J: Join> {
    join: J,
    from: usize,
    to: usize,
    /// For each of the first things of the window, the last one on top: all from it to the back.
    front: Vec<J::Sum>,
    /// All behind the front.
    back: Option<J::Sum>,
}

impl<J: Join> Stacks<J> {
    pub(super) fn new(join: J) -> Self {
        Self {
            join,
            from: 0,
            to: 0,
            front: Vec::new(),
            back: None,
        }
    }

    /// How things are put together.
    pub(super) fn by(&self) -> &J {
        &self.join
    }

    /// What the things at the places `from..to` come to; neither may go back.
    pub(super) fn slide(&mut self, from: usize, to: usize) -> Option<J::Sum> {
        if from >= self.to {
            // Nothing of the last window is in this one.
            (self.from, self.to) = (from, from);
            self.front.clear();
            self.back = None;
        }
        while self.to < to {
            let one = self.join.one(self.to);
            self.back = Some(match self.back {
                Some(back) => self.join.join(back, one),
                None => one,
            });
            self.to += 1;
        }
        while self.from < from {
            if self.front.is_empty() {
                self.turn();
            }
            self.front.pop();
            self.from += 1;
        }
        match (self.front.last(), self.back) {
            (Some(&front), Some(back)) => Some(self.join.join(front, back)),
            (Some(&front), None) => Some(front),
            (None, back) => back,
        }
    }

    /// Moves what is in the back to the front.
    fn turn(&mut self) {
        let mut after = None;
        for at in (self.from..self.to).rev() {
            let one = self.join.one(at);
            let joined = match after {
                Some(after) => self.join.join(one, after),
                None => one,
            };
            self.front.push(joined);
            after = Some(joined);
        }
        self.back = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A stretch is its ends.
    struct Places;

    impl Join for Places {
        type Sum = (usize, usize);

        fn one(&self, at: usize) -> (usize, usize) {
            (at, at + 1)
        }

        fn join(&self, first: (usize, usize), second: (usize, usize)) -> (usize, usize) {
            assert_eq!(first.1, second.0, "neighbours, in their order");
            (first.0, second.1)
        }
    }

    proptest! {
        #[test]
        fn a_window_is_all_that_lies_in_it_in_order(
            moves in proptest::collection::vec((0..5usize, 0..5usize), 0..80),
        ) {
            let mut stacks = Stacks::new(Places);
            let (mut from, mut to) = (0, 0);
            for (first, last) in moves {
                to += last;
                from = (from + first).min(to);
                prop_assert_eq!(stacks.slide(from, to), (from < to).then_some((from, to)));
            }
        }
    }
}
