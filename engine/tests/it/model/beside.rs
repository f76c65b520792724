//! What stands beside the database of a life: a reader, snapshots.
//!
//! Input: a life. Output: nothing, or a panic where what they hold is not what the database held
//! when the snapshot was taken, or the reader refreshed.

use std::collections::BTreeMap;

use treering::{Db, Error, restore};

use super::answers;
use super::life::Life;
use super::plain::Plain;
use super::steps::{ALL, SPACES};

/// A read-only open, and what the database held at its last refresh.
pub(super) struct Reader {
    db: Db,
    model: BTreeMap<u8, Plain>,
}

impl Life {
    /// A snapshot holds what there is; so does a database that is made of it, in which the life may
    /// go on.
    pub(super) fn snapshot(&mut self, moves: bool) {
        self.snapshots += 1;
        let named = |what: &str| format!("/{what}-{}", self.snapshots);
        let (snapshot, dir) = (named("snapshot"), named("db"));
        self.db.snapshot(&snapshot).unwrap();
        let held = Db::open_read_only(&snapshot, self.options()).unwrap();
        check(&held, &mut self.model.clone(), self.now);
        held.close().unwrap();
        if moves {
            self.db.close().unwrap();
            self.reader = None;
            restore(&snapshot, &dir, self.options()).unwrap();
            self.dir = dir;
            self.reopen();
        }
    }

    pub(super) fn refresh(&mut self) {
        let db = match self.reader.take() {
            Some(reader) => {
                reader.db.refresh().unwrap();
                reader.db
            }
            None => Db::open_read_only(&self.dir, self.options()).unwrap(),
        };
        let model = self.model.clone();
        self.reader = Some(Reader { db, model });
        self.peek();
    }

    /// The reader still answers what it did, however much was written, merged or dropped since.
    pub(super) fn peek(&mut self) {
        if let Some(reader) = &mut self.reader {
            check(&reader.db, &mut reader.model, self.now);
        }
    }
}

/// All samples of all namespaces; which of those that are faint are there is certain from then on.
fn check(db: &Db, model: &mut BTreeMap<u8, Plain>, now: i64) {
    for (space, name) in (0..).zip(SPACES) {
        let seen = db.namespace(name);
        let Some(plain) = model.get_mut(&space) else {
            assert!(matches!(seen, Err(Error::NoNamespace { .. })));
            continue;
        };
        let seen = seen.unwrap();
        assert_eq!(
            seen.all_metadata(),
            plain.metadata.clone().into_iter().collect::<Vec<_>>()
        );
        plain.compare(&answers::samples(&seen, ALL), ALL, now, false);
    }
}
