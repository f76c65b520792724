//! Questions over a year: how long they take, with and without timestamps decoded before.
//!
//! Input: the compacted database of Y. Output: median milliseconds, and those of CPU. "Cold" is the first question of
//! an open: nothing is decoded or checked yet (the pages are in the system's cache); "warm" is the
//! same question again. Every answer is checked.

use std::path::Path;
use std::time::Instant;

use treering::{Db, Function, Options, Selector};
use treering_benches::child::{Measured, median};
use treering_benches::generator::{Generator, Shape};
use treering_benches::random::Random;
use treering_benches::{Result, process};

use crate::SEED;
use crate::plain::{Plain, ask_of};

/// How often each question is asked.
const ASKED: usize = 20;
/// Different windows that meet no edge.
const OFFSETS: usize = 5;

/// One question and how it is judged.
struct Question {
    selector: Selector,
    grid: usize,
    offset: i64,
    series: u64,
}

/// Milliseconds of an answer, by the clock and of CPU.
#[derive(Clone, Copy)]
struct Took {
    wall: f64,
    cpu: f64,
}

/// Asks all of them.
pub(crate) fn run(shape: Shape, folder: &Path) -> Result<Measured> {
    let mut random = Random::stream(SEED, u64::MAX - 1);
    let mut offsets = vec![0];
    // Whole seconds that are no whole minutes: no edge of a chunk lies there but by chance.
    let odd = |random: &mut Random| (random.below(24 * 60) * 60 + 1 + random.below(59)) as i64;
    offsets.extend((0..OFFSETS).map(|_| odd(&mut random) * 1_000_000_000));
    let plain = Plain::of(shape, &offsets)?;
    let all = |grid: usize| Question {
        selector: Selector::all(),
        grid,
        offset: offsets[grid],
        series: shape.series(),
    };
    let generator = Generator::new(shape, SEED);
    let one = |series: u64| {
        let labels = generator.labels(series);
        let text: Vec<String> = labels.iter().map(|(n, v)| format!("{n}={v:?}")).collect();
        Ok(Question {
            selector: Selector::parse(&format!("{{{}}}", text.join(",")))?,
            grid: 0,
            offset: 0,
            series: 1,
        })
    };
    let year: Vec<Question> = (0..ASKED).map(|_| all(0)).collect();
    let shifted: Vec<Question> = (0..ASKED).map(|i| all(1 + i % OFFSETS)).collect();
    let single = (0..ASKED).map(|_| one(random.below(shape.series())));
    let single: Vec<Question> = single.collect::<Result<_>>()?;
    let mut measured = Measured::new();
    for (name, questions) in [
        ("year", year),
        ("year_one", single),
        ("year_shifted", shifted),
    ] {
        time(&plain, shape, folder, &questions[0])?;
        let times = questions.iter().map(|q| time(&plain, shape, folder, q));
        let times: Vec<[Took; 2]> = times.collect::<Result<_>>()?;
        let of = |take: fn(&[Took; 2]) -> f64| median(times.iter().map(take).collect());
        measured.insert(name.to_owned(), of(|[cold, _]| cold.wall));
        measured.insert(format!("{name}_cpu"), of(|[cold, _]| cold.cpu));
        measured.insert(format!("{name}_warm"), of(|[_, warm]| warm.wall));
        measured.insert(format!("{name}_warm_cpu"), of(|[_, warm]| warm.cpu));
    }
    Ok(measured)
}

/// A question that is the first of an open, and the same again.
fn time(plain: &Plain, shape: Shape, folder: &Path, question: &Question) -> Result<[Took; 2]> {
    let db = Db::open(folder, Options::default())?;
    let ask = || {
        let (cpu, at) = (process::exact_thread_cpu_seconds()?, Instant::now());
        let answer = ask_of(
            &db,
            &question.selector,
            &shape,
            question.offset,
            Function::Max,
        )?;
        let wall = at.elapsed().as_secs_f64() * 1e3;
        let cpu = (process::exact_thread_cpu_seconds()? - cpu) * 1e3;
        plain.check_days(question.grid, Function::Max, &answer)?;
        if answer.len() as u64 != question.series {
            return Err(format!("{} found {} series", question.selector, answer.len()).into());
        }
        Ok::<Took, treering_benches::Error>(Took { wall, cpu })
    };
    let times = [ask()?, ask()?];
    db.close()?;
    Ok(times)
}
