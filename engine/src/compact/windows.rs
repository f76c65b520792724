//! Windows of time that blocks are gathered in: a ladder of widths, each a multiple of the one
//! below.
//!
//! Input: timestamps. Output: the window of a rung that one lies in, or the lowest rung with a
//! window that holds a range. Windows are left-open, right-closed and aligned to the epoch; because
//! widths are multiples, a window of a rung lies whole in one window of each rung above it. A
//! window is known by its end.

const HOUR: i64 = 3600 * 1_000_000_000;
const DAY: i64 = 24 * HOUR;

/// Widths that fit the calendar: what is used where nobody chose a base.
const AUTOMATIC: [i64; 5] = [2 * HOUR, 8 * HOUR, DAY, 8 * DAY, 64 * DAY];
/// How much wider the next rung is where a base was chosen.
const FACTOR: i64 = 8;
/// The top rung is at least this wide.
const TOP: i64 = 32 * DAY;
/// How many windows of the top rung there are at least in the age that data live for; with
/// [`FACTOR`] times as many there is still a window for each.
const PART_OF_AGE: i64 = 7;
/// A window of the base is to hold about as many bytes at least.
const BASE_BYTES: u128 = 16 << 20;

/// The ladder of widths, in nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rungs {
    /// Ascending, never empty, each a multiple of the one before.
    widths: Vec<i64>,
}

impl Rungs {
    /// Two hours, eight hours, a day, eight days, 64 days.
    pub(crate) fn automatic() -> Self {
        Self {
            widths: AUTOMATIC.to_vec(),
        }
    }

    /// The ladder whose lowest rung is `base` nanoseconds (at least one): the automatic ladder from
    /// there when `base` is a rung of it, else eight times wider at each rung, up to 32 days or
    /// more.
    pub(crate) fn of(base: i64) -> Self {
        if let Some(rung) = AUTOMATIC.iter().position(|&width| width == base) {
            return Self {
                widths: AUTOMATIC[rung..].to_vec(),
            };
        }
        let mut width = base.max(1);
        let mut widths = vec![width];
        while width < TOP {
            // Below 32 days, so eight times as much is far below the end of i64.
            width *= FACTOR;
            widths.push(width);
        }
        Self { widths }
    }

    /// The ladder for what lives for `age` nanoseconds: no rung is wider than a seventh of it,
    /// beside the lowest, and the top is about as wide as that lets it. Its windows are then short
    /// beside the age, for blocks go whole, and so few that the whole age is in windows of the top.
    pub(crate) fn within(mut self, age: i64) -> Self {
        let most = age / PART_OF_AGE;
        let lowest = self.widths[0];
        self.widths.retain(|&width| width <= most.max(lowest));
        while let Some(wider) = self.width(self.top()).checked_mul(FACTOR)
            && wider <= most
        {
            self.widths.push(wider);
        }
        self
    }

    /// How many rungs there are.
    pub(crate) fn len(&self) -> usize {
        self.widths.len()
    }

    /// Number of the top rung.
    pub(crate) fn top(&self) -> usize {
        self.widths.len() - 1
    }

    /// The window `(after, end]` of a rung that holds `timestamp`; above the top it is the top's.
    /// Both ends saturate: the lowest window of all holds `i64::MIN` too.
    pub(crate) fn window_of(&self, timestamp: i64, rung: usize) -> (i64, i64) {
        window(timestamp, self.width(rung))
    }

    /// The lowest rung with one window that holds both; `None` where even the top has none
    /// ("wide").
    pub(crate) fn rung_of(&self, min: i64, max: i64) -> Option<usize> {
        (0..self.len()).find(|&rung| self.window_of(min, rung).1 == self.window_of(max, rung).1)
    }

    /// Width of a rung in nanoseconds; above the top it is the top's.
    pub(crate) fn width(&self, rung: usize) -> i64 {
        self.widths[rung.min(self.top())]
    }
}

/// The base for data that takes `bytes` for each `span` nanoseconds: the lowest automatic rung
/// whose windows hold some 16 MiB or more, else the top. Sparse data gets wide blocks and so few
/// files, dense data narrow ones.
pub(crate) fn choose_base(bytes: u64, span: i64) -> i64 {
    let span = span.max(1).unsigned_abs();
    let holds = |width: i64| {
        u128::from(bytes) * u128::from(width.unsigned_abs()) >= BASE_BYTES * u128::from(span)
    };
    let [.., top] = AUTOMATIC;
    AUTOMATIC
        .into_iter()
        .find(|&width| holds(width))
        .unwrap_or(top)
}

/// The window `(after, end]` of this width that holds `timestamp`, saturating.
pub(crate) fn window(timestamp: i64, width: i64) -> (i64, i64) {
    let width = i128::from(width.max(1));
    let after = (i128::from(timestamp) - 1).div_euclid(width) * width;
    (saturate(after), saturate(after + width))
}

fn saturate(timestamp: i128) -> i64 {
    i64::try_from(timestamp).unwrap_or(if timestamp < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ladders_nest_and_reach_a_month() {
        assert_eq!(Rungs::of(2 * HOUR), Rungs::automatic());
        assert_eq!(Rungs::of(DAY).widths, [DAY, 8 * DAY, 64 * DAY]);
        assert_eq!(Rungs::of(64 * DAY).widths, [64 * DAY]);
        assert_eq!(
            Rungs::of(HOUR).widths,
            [1, 8, 64, 512, 4096].map(|n| n * HOUR)
        );
        assert_eq!(Rungs::of(0), Rungs::of(1));
        for base in [
            1,
            7,
            1_000_000_000,
            60_000_000_000,
            HOUR,
            7 * HOUR,
            400 * DAY,
            i64::MAX,
        ] {
            let rungs = Rungs::of(base);
            assert!(rungs.len() <= 19);
            assert!(rungs.width(rungs.top()) >= TOP);
            assert!(rungs.widths.windows(2).all(|pair| pair[1] % pair[0] == 0));
        }
    }

    #[test]
    fn windows_are_short_beside_the_age_of_data_and_few() {
        let within = |age| Rungs::automatic().within(age).widths;
        assert_eq!(within(HOUR), [2 * HOUR]);
        assert_eq!(within(7 * DAY), [2 * HOUR, 8 * HOUR, DAY]);
        assert_eq!(within(400 * DAY), [2, 8, 24, 192].map(|n| n * HOUR));
        assert_eq!(within(20 * 365 * DAY).last(), Some(&(512 * DAY)));
        for age in (1..400).map(|n| n * n * 13 * HOUR) {
            let rungs = Rungs::automatic().within(age);
            let windows = age / rungs.width(rungs.top());
            assert!(windows <= 56, "{windows} windows in {age}");
        }
        assert!(within(i64::MAX).len() < 9);
    }

    #[test]
    fn a_window_is_left_open_and_right_closed_and_saturates() {
        assert_eq!(window(0, 10), (-10, 0));
        assert_eq!(window(1, 10), (0, 10));
        assert_eq!(window(10, 10), (0, 10));
        assert_eq!(window(-10, 10), (-20, -10));
        assert_eq!(window(i64::MIN, 10), (i64::MIN, -9_223_372_036_854_775_800));
        assert_eq!(window(i64::MAX, 10), (9_223_372_036_854_775_800, i64::MAX));
        assert_eq!(window(i64::MIN, i64::MAX).1, -i64::MAX);
    }

    #[test]
    fn sparse_data_gets_wide_windows_and_dense_data_narrow_ones() {
        const MIB: u64 = 1 << 20;
        assert_eq!(choose_base(16 * MIB, 2 * HOUR), 2 * HOUR);
        assert_eq!(choose_base(15 * MIB, 2 * HOUR), 8 * HOUR);
        assert_eq!(choose_base(16 * MIB, DAY), DAY);
        assert_eq!(choose_base(300 * MIB, 365 * DAY), 64 * DAY);
        assert_eq!(choose_base(1, 365 * DAY), 64 * DAY);
        assert_eq!(choose_base(0, 0), 64 * DAY);
        assert_eq!(choose_base(u64::MAX, i64::MAX), 2 * HOUR);
        assert_eq!(choose_base(u64::MAX, i64::MIN), 2 * HOUR);
    }

    proptest! {
        #[test]
        fn a_range_lies_in_one_window_of_its_rung_and_in_none_below(
            base in prop_oneof![Just(2 * HOUR), 1..DAY],
            min in any::<i64>(),
            span in prop_oneof![0..HOUR, 0..100 * DAY, any::<i64>()],
        ) {
            let rungs = Rungs::of(base);
            let max = min.saturating_add(span.saturating_abs());
            let rung = rungs.rung_of(min, max);
            for (at, &width) in rungs.widths.iter().enumerate() {
                let (after, end) = rungs.window_of(min, at);
                prop_assert!(after <= min && min <= end);
                prop_assert!(after < min || after == i64::MIN);
                let one = (i128::from(min) - 1).div_euclid(i128::from(width))
                    == (i128::from(max) - 1).div_euclid(i128::from(width));
                prop_assert_eq!(one, rung.is_some_and(|rung| rung <= at));
            }
        }
    }
}
