//! Goes through every call of a workload and through the images that a power cut there may leave.
//!
//! Input: a case and the budget of the environment. Output: the number of images checked, or a panic
//! that names the image. `TREERING_CRASH_IMAGES` is the number of images of the whole binary, nested
//! ones apart; `TREERING_CRASH_MINUTES` repeats it with new seeds for so long; `TREERING_SOAK` makes
//! a round long; `TREERING_SEED` is the first seed; `TREERING_CRASH_AT=call:image` checks one image.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use treering::vfs::{CrashVfs, MemVfs};

use crate::check::{Expected, check, read};
use crate::copies::check_copies;
use crate::history::Random;
use crate::number::number;
use crate::stage::{Case, Stage};

/// Cases that share the images and the time of the binary.
const CASES: u64 = 72;
/// Images of an ordinary run and of a round of a soak.
const IMAGES: u64 = 30_000;
const SOAK_IMAGES: u64 = 600_000;
/// Of so many images, one has its recovery crashed at every call.
const NEST_EVERY: u64 = 20;
/// Of so many nested images, one has its recovery crashed again.
const NEST_AGAIN_EVERY: u64 = 50;
/// Images at each call of a recovery.
const NESTED_IMAGES: u64 = 3;
/// What files take beside their samples: headers, the manifest's first record.
const SLACK_BYTES: u64 = 4096;

pub(crate) fn seed() -> u64 {
    number("TREERING_SEED").unwrap_or(1)
}

/// Runs the case and checks its images, as often as the environment says.
#[expect(
    clippy::disallowed_methods,
    reason = "the length of a soak is real time"
)]
pub(crate) fn enumerate(case: &Case) {
    let soak = std::env::var_os("TREERING_SOAK").is_some();
    let images = number("TREERING_CRASH_IMAGES").unwrap_or(if soak { SOAK_IMAGES } else { IMAGES });
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let seconds = number("TREERING_CRASH_MINUTES").unwrap_or(0) * 60 * threads / CASES;
    let (start, time) = (Instant::now(), Duration::from_secs(seconds));
    let (mut seed, mut checked, mut calls) = (seed(), 0, 0);
    loop {
        let stage = Stage::play(case, seed);
        calls = stage.store.calls().max(calls);
        checked += Enumeration {
            case,
            stage: &stage,
            seed,
            checked: 0,
        }
        .run(images / CASES);
        seed = seed.wrapping_add(1);
        if start.elapsed() >= time {
            break;
        }
    }
    let (title, took) = (case.title(), start.elapsed());
    eprintln!("crash images: {checked} ({title}, {calls} calls, {took:?})");
}

struct Enumeration<'a> {
    case: &'a Case,
    stage: &'a Stage,
    seed: u64,
    checked: u64,
}

impl Enumeration<'_> {
    fn run(mut self, images: u64) -> u64 {
        let store = &self.stage.store;
        if let Some((call, index)) = one_image() {
            self.image(call, index, u64::MAX);
            return 1;
        }
        let calls = store.calls();
        let open = (0..=calls).filter(|&call| store.unsynced(call) > 0).count() as u64;
        let quota = (images / open.max(1)).max(2);
        let mut peak = 0;
        for call in 0..=calls {
            peak = peak.max(bytes_of(&store.image(call, self.seed, 1)));
            let count = if store.unsynced(call) == 0 { 1 } else { quota };
            for index in 0..count {
                self.image(call, index, peak);
            }
        }
        self.checked
    }

    fn image(&mut self, call: u64, index: u64, peak: u64) {
        let store = &self.stage.store;
        let image = store.image(call, self.seed, index);
        let expected = Expected {
            case: self.case,
            history: &self.stage.history,
            allowed: self.stage.history.allowed(call),
            space: peak.saturating_mul(2).saturating_add(SLACK_BYTES),
        };
        let mut random = Random::new(self.seed ^ call << 20 ^ index);
        let outcome = caught(|| {
            let nest = random.below(NEST_EVERY) == 0;
            if nest {
                self.checked += nested(&image, &expected, &mut random, true)?;
            }
            self.checked += 1;
            // Before the database goes on: a snapshot shares its bytes.
            let copies = &self.stage.copies;
            check_copies(self.case, copies, &self.stage.history, (&image, call))?;
            check(&image, &expected, random.next())
        });
        if let Err(error) = outcome {
            panic!(
                "{}, call {call} of {}, image {index}, seed {}: {error}\n{}\n{}\nagain: \
                 TREERING_SEED={} TREERING_CRASH_AT={call}:{index}",
                self.case.title(),
                store.calls(),
                self.seed,
                store.last_calls(call, 12).join("\n"),
                store.describe(call, self.seed, index),
                self.seed
            );
        }
    }
}

/// Crashes the recovery of an image at every call; how many images that gave.
fn nested(
    image: &MemVfs,
    expected: &Expected<'_>,
    random: &mut Random,
    deeper: bool,
) -> Result<u64, String> {
    let (store, seed) = (CrashVfs::resume(image), random.next());
    let mut exact = expected.clone();
    let calls = {
        let db = open_recording(expected, &store)?;
        let print = read(&db, false)?.print;
        let found = expected.history.batches_of(print, &expected.allowed);
        let found = found.ok_or("a recovery that was recorded answers otherwise than allowed")?;
        // What an open database has answered is durable.
        exact.allowed = found..=found;
        store.calls()
    };
    let mut checked = 0;
    for call in 0..=calls {
        let count = if store.unsynced(call) == 0 {
            1
        } else {
            NESTED_IMAGES
        };
        for index in 0..count {
            let image = store.image(call, seed, index);
            let expected = if call == calls { &exact } else { expected };
            let mut outcome = Ok(());
            if deeper && random.below(NEST_AGAIN_EVERY) == 0 {
                outcome = nested(&image, expected, random, false).map(|more| checked += more);
            }
            let outcome = outcome.and_then(|()| check(&image, expected, random.next()));
            outcome.map_err(|error| {
                format!(
                    "{error}\n  after a crash of the recovery at call {call} of {calls}, image \
                     {index}, seed {seed}:\n{}\n{}",
                    store.last_calls(call, 12).join("\n"),
                    store.describe(call, seed, index)
                )
            })?;
            checked += 1;
        }
    }
    Ok(checked)
}

fn open_recording(expected: &Expected<'_>, store: &CrashVfs) -> Result<treering::Db, String> {
    let clock = std::sync::Arc::new(treering::time::ManualClock::new(expected.case.now));
    let options = expected
        .case
        .options_on(std::sync::Arc::new(store.clone()), clock);
    treering::Db::open(expected.case.dir, options).map_err(|error| format!("open failed: {error}"))
}

/// A panic of the engine is a failure like any other, with the image named.
pub(crate) fn caught<T>(body: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(format!("panic: {}", text.unwrap_or_default()))
    })
}

fn bytes_of(image: &MemVfs) -> u64 {
    image
        .files()
        .iter()
        .map(|(_, bytes)| bytes.len() as u64)
        .sum()
}

fn one_image() -> Option<(u64, u64)> {
    let text = std::env::var("TREERING_CRASH_AT").ok()?;
    let (call, index) = text.split_once(':')?;
    Some((call.parse().ok()?, index.parse().ok()?))
}
