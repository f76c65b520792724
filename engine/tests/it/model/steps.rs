//! The steps that a random life is made of.
//!
//! Input: proptest's choices. Output: [`Step`]s, each a change of the database or a question.
//! A new ability of the engine is one variant here and one method of `Life`.

use proptest::prelude::*;

pub(crate) const SECOND: i64 = 1_000_000_000;
pub(crate) const HOUR: i64 = 3600 * SECOND;
pub(crate) const DAY: i64 = 24 * HOUR;
/// Hosts that the random samples belong to.
pub(crate) const HOSTS: u8 = 6;
/// The range of all time.
pub(crate) const ALL: (i64, i64) = (i64::MIN, i64::MAX);
/// Names of namespaces; the first is always there.
pub(crate) const SPACES: [&str; 3] = ["default", "a", "b"];

/// One change. `space` is an index into [`SPACES`].
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Samples of any series at any time, in one batch; refused whole or row by row.
    Scatter {
        space: u8,
        rows: Vec<(u8, i64, f64)>,
        partial: bool,
    },
    /// One sample of every series at one time.
    Scrape {
        space: u8,
        at: i64,
        value: f64,
    },
    /// Many samples of one series.
    Column {
        space: u8,
        host: u8,
        start: i64,
        step: i64,
        count: usize,
        shape: u8,
    },
    Delete {
        space: u8,
        what: What,
        first: i64,
        last: i64,
    },
    Flush,
    Compact,
    Maintain,
    Reopen,
    /// Takes a snapshot and makes a database of it; the life may go on in that.
    Snapshot {
        moves: bool,
    },
    /// Brings the reader beside the writer up to date, or opens one.
    Refresh,
    /// Asks the reader, which knows what its last refresh found.
    Peek,
    /// Reopens with blocks read the other way.
    SwitchReads,
    Clock(i64),
    Create {
        space: u8,
        kept: Kept,
    },
    Alter {
        space: u8,
        kept: Kept,
    },
    Drop {
        space: u8,
    },
    /// Takes a reference to a series.
    Refer {
        space: u8,
        host: u8,
    },
    /// Appends by one of the references taken, to a namespace that need not be its own.
    Use {
        pick: u8,
        space: u8,
        at: i64,
    },
    Release {
        pick: u8,
    },
    /// Sets or removes what is known of a metric.
    Describe {
        space: u8,
        metric: u8,
        help: Option<u8>,
    },
    /// Asks in the middle of the life.
    Look {
        space: u8,
        first: i64,
        last: i64,
    },
}

/// What a delete selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Everything,
    Metric,
    Host(u8),
    NotHost(u8),
    /// `host=~"h[0-N]"`.
    UpTo(u8),
    /// `host!~"h[0-N]"`.
    Above(u8),
    Odd(u8),
    /// A label that no series has, which is as good as empty.
    Unlabelled,
    Nothing,
}

impl What {
    /// As the engine reads it.
    pub(crate) fn text(self) -> String {
        match self {
            Self::Everything => "{}".to_owned(),
            Self::Metric => "m".to_owned(),
            Self::Host(host) => format!(r#"m{{host="h{host}"}}"#),
            Self::NotHost(host) => format!(r#"{{host!="h{host}"}}"#),
            Self::UpTo(host) => format!(r#"{{host=~"h[0-{host}]"}}"#),
            Self::Above(host) => format!(r#"m{{host!~"h[0-{host}]"}}"#),
            Self::Odd(odd) => format!(r#"{{odd="{odd}"}}"#),
            Self::Unlabelled => r#"{rack=""}"#.to_owned(),
            Self::Nothing => r#"{rack="1"}"#.to_owned(),
        }
    }

    /// Whether it selects the series of a host.
    pub(crate) fn selects(self, host: u8) -> bool {
        match self {
            Self::Everything | Self::Metric | Self::Unlabelled => true,
            Self::Host(wanted) => host == wanted,
            Self::NotHost(other) => host != other,
            Self::UpTo(most) => host <= most,
            Self::Above(most) => host > most,
            Self::Odd(odd) => host % 2 == odd,
            Self::Nothing => false,
        }
    }
}

/// How a namespace is kept: seconds, bytes, seconds, and which tiers of coarser steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) age: Option<u64>,
    pub(crate) bytes: Option<u64>,
    pub(crate) window: Option<u64>,
    /// 0: none. Only where nothing goes with age or bytes: what goes is then the step's, as a whole.
    pub(crate) coarser: u8,
}

pub(crate) fn timestamps() -> impl Strategy<Value = i64> {
    prop_oneof![
        20 => (0..400i64).prop_map(|at| at * 15 * SECOND),
        4 => (-10..10i64).prop_map(|day| day * DAY),
        2 => any::<i64>(),
        1 => prop::sample::select(vec![i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX]),
    ]
}

fn values() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => (-1000..1000i32).prop_map(f64::from),
        8 => (-100_000..100_000i32).prop_map(|value| f64::from(value) / 100.0),
        2 => any::<f64>(),
        1 => any::<u64>().prop_map(f64::from_bits),
        1 => prop::sample::select(vec![
            0.0, -0.0, f64::NAN, treering::stale_marker(), f64::INFINITY, f64::NEG_INFINITY,
        ]),
    ]
}

fn spaces() -> impl Strategy<Value = u8> {
    prop_oneof![5 => Just(0u8), 4 => Just(1u8), 1 => Just(2u8)]
}

fn hosts() -> std::ops::Range<u8> {
    0..HOSTS
}

/// First and last timestamp of a range: any two, all, one, none.
fn ranges() -> impl Strategy<Value = (i64, i64)> {
    prop_oneof![
        8 => (timestamps(), timestamps()).prop_map(|(a, b)| (a.min(b), a.max(b))),
        3 => Just((i64::MIN, i64::MAX)),
        2 => timestamps().prop_map(|at| (i64::MIN, at)),
        2 => timestamps().prop_map(|at| (at, i64::MAX)),
        2 => timestamps().prop_map(|at| (at, at)),
        1 => Just((1, 0)),
    ]
}

fn whats() -> impl Strategy<Value = What> {
    prop_oneof![
        2 => Just(What::Everything),
        2 => Just(What::Metric),
        6 => hosts().prop_map(What::Host),
        2 => hosts().prop_map(What::NotHost),
        3 => hosts().prop_map(What::UpTo),
        2 => hosts().prop_map(What::Above),
        2 => (0..2u8).prop_map(What::Odd),
        1 => Just(What::Unlabelled),
        1 => Just(What::Nothing),
    ]
}

fn kepts() -> impl Strategy<Value = Kept> {
    let age = prop_oneof![
        3 => Just(None),
        2 => Just(Some(3600u64)),
        1 => Just(Some(3 * 86_400)),
        1 => Just(Some(100 * 365 * 86_400)),
    ];
    let bytes = prop_oneof![
        4 => Just(None),
        1 => Just(Some(4096u64)),
        1 => Just(Some(16_384)),
    ];
    let goes = (age, bytes, windows()).prop_map(|(age, bytes, window)| Kept {
        age,
        bytes,
        window,
        coarser: 0,
    });
    let coarser = (windows(), 1..3u8).prop_map(|(window, coarser)| Kept {
        window,
        coarser,
        ..Kept::default()
    });
    prop_oneof![3 => goes, 2 => coarser]
}

/// Block windows, in seconds.
pub(crate) fn windows() -> impl Strategy<Value = Option<u64>> {
    prop::sample::select(vec![None, Some(60), Some(3600), Some(86_400)])
}

/// When the clock is set, it shows a time near the samples, or any.
fn moments() -> impl Strategy<Value = i64> {
    prop_oneof![
        10 => (0..800i64).prop_map(|at| at * 15 * SECOND),
        4 => (-10..12i64).prop_map(|day| day * DAY + HOUR),
        1 => any::<i64>(),
    ]
}

fn columns() -> impl Strategy<Value = Step> {
    let counts = prop_oneof![24 => 1..200usize, 4 => 1..2500usize, 1 => 4096..5200usize];
    (spaces(), hosts(), timestamps(), 1..40i64, counts, 0..5u8).prop_map(
        |(space, host, start, step, count, shape)| Step::Column {
            space,
            host,
            start,
            step: step * SECOND,
            count,
            shape,
        },
    )
}

fn appends() -> impl Strategy<Value = Step> {
    let rows = prop::collection::vec((hosts(), timestamps(), values()), 1..30);
    prop_oneof![
        6 => (spaces(), rows, any::<bool>())
            .prop_map(|(space, rows, partial)| Step::Scatter { space, rows, partial }),
        4 => (spaces(), timestamps(), values())
            .prop_map(|(space, at, value)| Step::Scrape { space, at, value }),
        2 => columns(),
        1 => (spaces(), hosts()).prop_map(|(space, host)| Step::Refer { space, host }),
        2 => (any::<u8>(), spaces(), timestamps())
            .prop_map(|(pick, space, at)| Step::Use { pick, space, at }),
    ]
}

fn lifecycle() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Flush),
        1 => Just(Step::Compact),
        3 => Just(Step::Maintain),
        1 => Just(Step::Reopen),
        1 => Just(Step::SwitchReads),
        1 => any::<bool>().prop_map(|moves| Step::Snapshot { moves }),
        2 => Just(Step::Refresh),
        1 => Just(Step::Peek),
        2 => moments().prop_map(Step::Clock),
        2 => (1..3u8, kepts()).prop_map(|(space, kept)| Step::Create { space, kept }),
        1 => (spaces(), kepts()).prop_map(|(space, kept)| Step::Alter { space, kept }),
        1 => (1..3u8).prop_map(|space| Step::Drop { space }),
        1 => any::<u8>().prop_map(|pick| Step::Release { pick }),
        1 => (spaces(), 0..3u8, any::<Option<u8>>())
            .prop_map(|(space, metric, help)| Step::Describe { space, metric, help }),
    ]
}

pub(crate) fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => appends(),
        4 => (spaces(), whats(), ranges())
            .prop_map(|(space, what, (first, last))| Step::Delete { space, what, first, last }),
        9 => lifecycle(),
        2 => (spaces(), ranges())
            .prop_map(|(space, (first, last))| Step::Look { space, first, last }),
    ]
}
