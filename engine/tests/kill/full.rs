//! A real file system that runs full under a writing database, is given room, and runs full again.
//!
//! Needs root, loop devices, `mkfs.ext4` or `mkfs.xfs`, `df` and `fallocate`; says what it skipped.
//! `TREERING_FULL_ROUNDS` is how often each file system is filled.

use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use treering::{Batch, Db, Error, Maintenance, Options, Selector, Sync, labels};

use super::{TURN, mixed, number};
use crate::mounted::{FILE_SYSTEMS, Mounted, run};

/// Samples of a batch, and what is left of the disk when the database begins to fill it.
const SAMPLES: i64 = 2000;
const FREE: u64 = 3 << 20;

#[test]
fn a_full_disk_refuses_answers_and_goes_on_when_there_is_room() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let rounds = number("TREERING_FULL_ROUNDS").unwrap_or(3);
    for (make, words, mib) in FILE_SYSTEMS {
        let dir = tempfile::tempdir().unwrap();
        let mounted = match Mounted::make(dir.path(), make, words, mib) {
            Ok(mounted) => mounted,
            Err(why) => {
                eprintln!("SKIPPED: full disks on what {make} makes: {why}");
                continue;
            }
        };
        let mut life = Life {
            mount: mounted.mount.clone(),
            held: 0..0,
            poisoned: 0,
        };
        for round in 0..rounds {
            life.round(round);
        }
        let (held, poisoned) = (life.held.end, life.poisoned);
        eprintln!(
            "full disks: {rounds} ({make}), {held} batches acknowledged, {poisoned} poisoned"
        );
    }
}

/// A database of one series, batch by batch.
struct Life {
    mount: PathBuf,
    /// Numbers of the batches that are there.
    held: std::ops::Range<i64>,
    /// How often the file system said so at an fsync only.
    poisoned: u64,
}

impl Life {
    fn round(&mut self, round: u64) {
        let ballast = self.mount.join("ballast");
        let db = self.open(round);
        self.check(&db, 0);
        let bytes = self.available().saturating_sub(FREE).to_string();
        let length: &Path = bytes.as_ref();
        run("fallocate", &["-l".as_ref(), length, &*ballast]).unwrap();
        self.fill(&db);
        let poisoned = db.stats().poisoned;
        self.poisoned += u64::from(poisoned);
        // Nothing changed, and it answers.
        self.check(&db, u64::from(poisoned));
        if !poisoned && round % 2 == 1 {
            self.make_room_by_delete(&db);
        }
        run("rm", &[&*ballast]).unwrap();
        // Some file systems give room back later, unless they are asked to.
        run("sync", &["-f".as_ref(), &*self.mount]).unwrap();
        let db = if poisoned {
            drop(db);
            self.open(round)
        } else {
            db
        };
        self.settle(&db);
        for _ in 0..10 {
            self.append(&db).unwrap();
        }
        db.flush().unwrap();
        self.check(&db, 0);
        db.close().unwrap();
        drop(db);
        let db = self.open(round);
        self.check(&db, 0);
        let report = db.verify().unwrap();
        assert!(report.is_clean(), "round {round}: {report:?}");
        // So that the database does not outgrow the disk.
        self.delete_through(&db, self.held.end - 20);
        db.compact().unwrap();
        db.close().unwrap();
    }

    fn open(&self, round: u64) -> Db {
        let maintenance = match round % 3 {
            1 => Maintenance::Background,
            _ => Maintenance::Manual,
        };
        let options = Options::default()
            .sync(Sync::Always)
            .memory_bytes(256 << 20)
            .wal_file_bytes(256 << 10)
            .wal_max_bytes(1 << 20)
            .reserve_bytes(64 << 10)
            .maintenance(maintenance);
        Db::open(self.mount.join("db"), options).unwrap()
    }

    /// Bytes that can still be written.
    fn available(&self) -> u64 {
        let words: [&Path; 3] = ["--output=avail".as_ref(), "-B1".as_ref(), &self.mount];
        let said = run("df", &words).unwrap();
        said.lines().last().unwrap().trim().parse().unwrap()
    }

    fn append(&mut self, db: &Db) -> Result<(), Error> {
        let (times, values) = samples(self.held.end);
        let series = labels! { "__name__" => "filling" };
        db.append(&Batch::new().column(series, &times, &values))?;
        self.held.end += 1;
        Ok(())
    }

    /// Appends until there is no room.
    fn fill(&mut self, db: &Db) {
        for _ in 0..5000 {
            let Err(error) = self.append(db) else {
                continue;
            };
            if !db.stats().poisoned {
                assert!(error.is_disk_full(), "{error}");
                assert!(error.to_string().contains("full"), "{error}");
                return;
            }
            // An fsync said so first: `DiskFull` or what poisoned.
            assert!(
                error.is_poisoned() || error.is_disk_full() || is_io(&error),
                "{error}"
            );
            return;
        }
        panic!("the disk does not become full");
    }

    /// What is deleted on a full disk makes room for more.
    fn make_room_by_delete(&mut self, db: &Db) {
        self.delete_through(db, self.held.start + (self.held.end - self.held.start) / 2);
        self.check(db, 0);
    }

    fn delete_through(&mut self, db: &Db, batch: i64) {
        let end = batch.max(self.held.start);
        db.delete(&Selector::all(), ..end * SAMPLES).unwrap();
        self.held.start = end;
    }

    /// After a poisoning the last batch may be there or not; reopening decides.
    fn settle(&mut self, db: &Db) {
        self.held.end = self.check(db, 1);
    }

    /// Holds all samples against what was acknowledged, and at most `more` batches beside that; the
    /// end of what is there.
    fn check(&self, db: &Db, more: u64) -> i64 {
        let (mut timestamps, mut values) = (Vec::new(), Vec::new());
        for series in db.select(&Selector::all(), ..).unwrap() {
            let columns = series.unwrap().columns().unwrap();
            timestamps.extend(columns.timestamps);
            values.extend(columns.values.iter().map(|value| value.to_bits()));
        }
        let count = timestamps.len() as i64 / SAMPLES;
        let end = self.held.start + count;
        assert!(
            (self.held.end..=self.held.end + more as i64).contains(&end),
            "{count} batches from {} on, acknowledged through {}",
            self.held.start,
            self.held.end
        );
        let (mut times, mut bits) = (Vec::new(), Vec::new());
        for batch in self.held.start..end {
            let (more, values) = samples(batch);
            times.extend(more);
            bits.extend(values.iter().map(|value| value.to_bits()));
        }
        assert!(timestamps == times && values == bits, "other samples");
        end
    }
}

fn is_io(error: &Error) -> bool {
    matches!(error, Error::Io { .. })
}

fn samples(batch: i64) -> (Vec<i64>, Vec<f64>) {
    let times: Vec<i64> = (batch * SAMPLES..(batch + 1) * SAMPLES).collect();
    let values = times.iter().map(|&at| f64::from_bits(mixed(at as u64)));
    let values = values.collect();
    (times, values)
}
