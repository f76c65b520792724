//! What a database should hold, as plain maps, and what it does hold in the same form.
//!
//! Input: the changes that were made; an open database. Output: states that can be compared.
//! Invariant: two states are equal only when every sample is, bit for bit.

use std::collections::BTreeMap;

use treering::{Db, Error, Labels, Selector, labels};

pub(crate) const SECOND: i64 = 1_000_000_000;
/// Names of the namespaces; the first is always there, the last keeps an hour.
pub(crate) const SPACES: [&str; 3] = ["default", "kept", "hour"];
const HOUR_SPACE: u8 = 2;

/// Everything in a database: namespaces by their place in [`SPACES`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) spaces: BTreeMap<u8, Space>,
}

/// Samples by series and time, and how long the help text of the metric is, if there is one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Space {
    pub(crate) samples: BTreeMap<(u8, i64), u64>,
    pub(crate) help: Option<usize>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            spaces: BTreeMap::from([(0, Space::default())]),
        }
    }
}

/// The labels of a series.
pub(crate) fn series(host: u8) -> Labels {
    labels! { "__name__" => "m", "host" => host.to_string() }
}

/// The first moment that is kept in a namespace.
pub(crate) fn horizon(space: u8, now: i64) -> i64 {
    match space {
        HOUR_SPACE => now.saturating_sub(3600 * SECOND),
        _ => i64::MIN,
    }
}

impl State {
    /// Without what is past the retention.
    pub(crate) fn at(mut self, now: i64) -> Self {
        for (&number, space) in &mut self.spaces {
            let first = horizon(number, now);
            space.samples.retain(|key, _| key.1 >= first);
        }
        self
    }

    /// What an open database holds. Panics when an answer contradicts itself.
    pub(crate) fn read(db: &Db) -> Result<Self, Error> {
        let mut spaces = BTreeMap::new();
        for info in db.namespaces() {
            let number = SPACES.iter().position(|name| *name == info.name);
            let number = number.expect("a namespace that nobody made") as u8;
            spaces.insert(number, Space::read(&db.namespace(&info.name)?)?);
        }
        Ok(Self { spaces })
    }
}

impl Space {
    fn read(db: &Db) -> Result<Self, Error> {
        let mut samples = BTreeMap::new();
        for found in db.select(&Selector::all(), ..)? {
            let found = found?;
            let host = found
                .labels()
                .get("host")
                .and_then(|host| host.parse().ok());
            let host: u8 = host.expect("a series that nobody made");
            assert_eq!(*found.labels(), series(host));
            let columns = found.columns()?;
            assert!(columns.timestamps.is_sorted_by(|a, b| a < b));
            for (&at, value) in columns.timestamps.iter().zip(&columns.values) {
                samples.insert((host, at), value.to_bits());
            }
        }
        let mut known = db.all_metadata().into_iter();
        let help = known.next().map(|(_, metadata)| metadata.help.len());
        assert!(known.next().is_none(), "metadata that nobody gave");
        Ok(Self { samples, help })
    }
}
