//! Damages a database in every way, and holds what it then tells against what there was.
//!
//! Input: how many images. Output: their number, or the first that told anything else, panicked,
//! hung or took more memory than damage can be worth.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use bytes::Bytes;
use treering::vfs::{MemVfs, Vfs};
use treering::{Db, Error, Reads};

use crate::answers::{Answers, ask, print};
use crate::images::{Class, Damage, Kind, classes, kind};
use crate::mixed::mixed;
use crate::number::number;
use crate::watchdog::Watchdog;
use crate::whole::{Ended, Whole, options};

/// Images of an ordinary run, of both databases together.
const IMAGES: u64 = 12_000;
/// What may be allocated for a damaged database beyond what the whole one takes, by its size.
const EXCESS: u64 = 4;
/// Threads that share the images.
const THREADS: u64 = 2;

#[test]
fn a_closed_database_tells_no_other_data_whatever_is_damaged() {
    let whole = Whole::new(Ended::Closed);
    let files: Vec<usize> = (0..whole.files.len()).collect();
    sweep(&whole, &files);
}

/// The same blocks, and a WAL whose end was never synced.
#[test]
fn a_killed_database_tells_an_earlier_state_or_nothing_else() {
    let whole = Whole::new(Ended::Killed);
    let files = 0..whole.files.len();
    let files = files.filter(|&file| kind(&whole.files[file].0) != Kind::Block);
    sweep(&whole, &files.collect::<Vec<_>>());
}

fn sweep(whole: &Whole, files: &[usize]) {
    let start = Instant::now();
    let budget = number("TREERING_DAMAGE_IMAGES").unwrap_or(IMAGES) / 2;
    let seed = number("TREERING_SEED").unwrap_or(1);
    let classes = classes(whole, files);
    let expected = Expected::new(whole);
    let (failures, counts) = (Mutex::new(Vec::new()), Mutex::new([0u64; 4]));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (classes, expected, failures, counts) = (&classes, &expected, &failures, &counts);
            scope.spawn(move || {
                let watchdog = Watchdog::of("damaged images");
                for (class, damage, number) in plan(classes, budget, seed, thread) {
                    let name = || {
                        let path = whole.files[damage.file()].0.display();
                        format!(
                            "{class}: {damage:?} of {path}, image {number}, {:?}",
                            whole.end
                        )
                    };
                    watchdog.note(name());
                    match expected.check(damage, number) {
                        Ok(Some(end)) => counts.lock().unwrap()[end as usize] += 1,
                        Ok(None) => {}
                        Err(error) => failures
                            .lock()
                            .unwrap()
                            .push(format!("{}: {error}", name())),
                    }
                    if failures.lock().unwrap().len() >= 20 {
                        break;
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "seed {seed}:\n{}", failures.join("\n"));
    let counts = counts.into_inner().unwrap();
    let (done, all) = (
        counts.iter().sum::<u64>(),
        classes.iter().map(|class| class.count),
    );
    let all: u64 = all.sum();
    let [refused, found, shortened, harmless] = counts;
    eprintln!(
        "damaged images: {done} of {all} ({:?}, {refused} refused, {found} found when asked, \
         {shortened} an earlier state, {harmless} harmless, {:?})",
        whole.end,
        start.elapsed()
    );
    assert!(
        refused > 0 && shortened > 0 && done >= IMAGES.min(budget) / 3,
        "{counts:?}"
    );
}

/// What became of a damaged database.
#[derive(Debug, Clone, Copy)]
enum End {
    /// It does not open.
    Refused,
    /// It opens, and `verify` and those questions that meet the damage say so.
    Found,
    /// It is as it was before its last changes.
    Shortened,
    /// It is as it was.
    Harmless,
}

/// The damage that one thread does: of each class all, or as many as its share allows.
fn plan(
    classes: &[Class],
    budget: u64,
    seed: u64,
    thread: u64,
) -> impl Iterator<Item = (&'static str, Damage, u64)> {
    let all: u64 = classes.iter().map(|class| class.count).sum();
    let share = budget / classes.len() as u64;
    classes.iter().enumerate().flat_map(move |(index, class)| {
        // The bits of structure are few, and each of them matters.
        let share = if index == 0 { share * 4 } else { share };
        let complete = budget >= all || class.count <= share;
        let count = if complete { class.count } else { share };
        let mine = (0..count).filter(move |number| number % THREADS == thread);
        mine.map(move |number| {
            let random = mixed(seed ^ number << 16 ^ index as u64);
            let at = if complete {
                number
            } else {
                random % class.count
            };
            (class.name, class.get(at), number / THREADS)
        })
    })
}

/// What a damaged database is held against.
struct Expected<'a> {
    whole: &'a Whole,
    answers: Answers,
    /// Most bytes that opening, asking and verifying the whole one takes.
    allocated: u64,
    bytes: u64,
}

impl<'a> Expected<'a> {
    fn new(whole: &'a Whole) -> Self {
        let mut expected = Self {
            whole,
            answers: Answers::new(),
            allocated: 0,
            bytes: whole
                .files
                .iter()
                .map(|(_, bytes)| bytes.len() as u64)
                .sum(),
        };
        for reads in [Reads::Mmap, Reads::Pread] {
            let store = whole.store.fork();
            let used = allocation_counter::measure(|| {
                let db = Db::open("/db", options(&store, reads)).unwrap();
                expected.answers = ask(&db);
                assert!(db.verify().unwrap().is_clean());
            });
            expected.allocated = expected.allocated.max(used.bytes_max);
        }
        let told = print(&expected.answers).unwrap();
        assert_eq!(
            Some(&told),
            whole.told.last(),
            "it answers otherwise when reopened"
        );
        expected
    }

    /// Checks one image; `None` when it is as the whole database.
    fn check(&self, damage: Damage, number: u64) -> Result<Option<End>, String> {
        let Some(bytes) = damage.apply(self.whole) else {
            return Ok(None);
        };
        let path = &self.whole.files[damage.file()].0;
        let image = self.whole.store.fork();
        replace(&image, path, &bytes).map_err(|error| error.to_string())?;
        let mut outcome = Err(String::new());
        let used = allocation_counter::measure(|| {
            let caught = catch_unwind(AssertUnwindSafe(|| self.look(&image, damage, number)));
            outcome = caught.unwrap_or_else(|_| Err("a panic".to_owned()));
        });
        let end = outcome?;
        let most = self.allocated + EXCESS * self.bytes;
        match used.bytes_max <= most {
            true => Ok(Some(end)),
            false => Err(format!(
                "{} bytes allocated, {most} allowed",
                used.bytes_max
            )),
        }
    }

    /// Opens, asks, verifies.
    fn look(&self, image: &MemVfs, damage: Damage, number: u64) -> Result<End, String> {
        let reads = if number.is_multiple_of(2) {
            Reads::Mmap
        } else {
            Reads::Pread
        };
        let is_reader = number % 8 == 5;
        let options = options(image, reads);
        let before = lasting(image);
        let opened = match is_reader {
            true => Db::open_read_only("/db", options),
            false => Db::open("/db", options),
        };
        let db = match opened {
            Ok(db) => db,
            Err(error) => {
                self.fits(&error, damage)?;
                let unchanged = lasting(image) == before;
                let changed = || "an open that failed changed files".to_owned();
                return unchanged.then_some(End::Refused).ok_or_else(changed);
            }
        };
        let answers = ask(&db);
        let report = db.verify().map_err(|error| format!("verify: {error}"))?;
        let path = &self.whole.files[damage.file()].0;
        if kind(path) == Kind::Block {
            self.judge_block(&answers, damage)?;
            let named = report
                .problems
                .iter()
                .any(|problem| is_of(&problem.file, path));
            return named
                .then_some(End::Found)
                .ok_or_else(|| format!("verify finds nothing in it: {report:?}"));
        }
        let end = self.judge(&answers, &db, is_reader, damage)?;
        match report.is_clean() || is_reader {
            true => Ok(end),
            false => Err(format!("opened, and then: {report:?}")),
        }
    }

    /// Each answer is what it was, or an error that names the block.
    fn judge_block(&self, answers: &Answers, damage: Damage) -> Result<(), String> {
        for (question, answer) in answers {
            let right = self.answers.get(question).and_then(|it| it.as_ref().ok());
            match answer {
                Ok(answer) if Some(answer) == right => {}
                Ok(_) => return Err(format!("`{question}` is answered otherwise")),
                Err(error) => self.fits(error, damage)?,
            }
        }
        Ok(())
    }

    /// All answers are what they were, or those of an earlier state where the WAL may have ended.
    fn judge(
        &self,
        answers: &Answers,
        db: &Db,
        is_reader: bool,
        damage: Damage,
    ) -> Result<End, String> {
        let same = answers.len() == self.answers.len();
        let mut pairs = answers.iter().zip(&self.answers);
        if same && pairs.all(|(a, b)| a.0 == b.0 && a.1.as_ref().ok() == b.1.as_ref().ok()) {
            return Ok(End::Harmless);
        }
        let told = print(answers).map_err(|error| format!("a question fails: {error}"))?;
        let state = self.whole.told.iter().position(|&earlier| earlier == told);
        let state = state.ok_or("it tells what never was")?;
        let cut = &db.recovery().wal_cut;
        let shortened = match damage {
            // A file that ends with a whole frame cannot be told from one that never was longer.
            Damage::Cut { .. } | Damage::Stale { .. } => true,
            // A closed log ends with a mark behind everything, so that damage is no tail.
            Damage::Flip { .. } => self.whole.end == Ended::Killed && (cut.is_some() || is_reader),
            _ => cut.is_some() || is_reader,
        };
        let path = &self.whole.files[damage.file()].0;
        match shortened && kind(path) == Kind::Wal {
            true => Ok(End::Shortened),
            false => Err(format!("it tells state {state}, cut {cut:?}")),
        }
    }

    /// The error names a file of the database, that of the damage where it can be known, and an
    /// offset.
    fn fits(&self, error: &Error, damage: Damage) -> Result<(), String> {
        let Error::Corrupt { file, offset, .. } = error else {
            return Err(format!("not called damage: {error:?}"));
        };
        let (path, bytes) = &self.whole.files[damage.file()];
        let longest = self.whole.files.iter().map(|(_, bytes)| bytes.len()).max();
        // What a manifest without its end lists may be gone by now.
        let known = file.starts_with("/db");
        let exact = matches!(damage, Damage::Flip { .. }) || kind(path) == Kind::Block;
        let most = if exact { Some(bytes.len()) } else { longest };
        let near = Some(*offset) <= most.map(|most| most as u64);
        match known && near && (!exact || is_of(file, path)) {
            true => Ok(()),
            false => Err(format!("the error names another place: {error}")),
        }
    }
}

/// Whether a path of the database is that of a file of the store.
fn is_of(file: &Path, path: &Path) -> bool {
    file.strip_prefix("/").is_ok_and(|file| file == path)
}

fn replace(image: &MemVfs, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let path = Path::new("/").join(path);
    image.remove(&path)?;
    image.create(&path)?.write_all_at(bytes, 0)
}

/// The files but for the lock.
fn lasting(store: &MemVfs) -> Vec<(PathBuf, Bytes)> {
    let mut files = store.files();
    files.retain(|(path, _)| !path.ends_with("LOCK"));
    files
}
