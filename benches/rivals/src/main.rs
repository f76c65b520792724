//! `cargo xtask bench codec`: Treering's codec beside other people's, in one run.
//!
//! Input: `[--corpus DIR] [--quick] [--json FILE]`; without a folder the corpora of
//! `TREERING_CORPORA`. Output: a table per corpus and length of chunks, then RESULT lines. Every
//! chunk of every codec is decoded and compared bit for bit; one that changed fails the bench.
#![forbid(unsafe_code)]

mod bitstream;
mod chunks;
mod codec;
mod crates;
mod database;
mod gorilla;
mod m3;
mod measure;
mod ours;
mod prometheus;
mod table;

use std::path::{Path, PathBuf};

use treering::Options;
use treering_benches::Result;
use treering_benches::corpus;
use treering_benches::report::{Report, Wish};

use chunks::{Corpus, Kind, kind, spread};
use codec::{Column, Holds};
use measure::{Entry, median, speeds, times_longer};
use table::Line;

/// Samples per chunk: Prometheus' habit, and what a block of ours holds of two hours at 10 s.
const LENGTHS: [usize; 2] = [120, 720];

/// Samples that a timed round goes over.
const TIMED_SAMPLES: usize = 64 << 10;

const ROUNDS: usize = 7;

/// Series of a corpus, spread evenly, that a quick run looks at.
const QUICK_SERIES: usize = 40;

fn main() -> Result<()> {
    let (folder, wish) = wish()?;
    let is_default = folder.is_none();
    let folder = match folder.or_else(corpus::folder) {
        Some(folder) => folder,
        None => return Err("name a folder of corpora: --corpus DIR, or TREERING_CORPORA".into()),
    };
    let names = corpus::names(&folder)?;
    let (mut report, missing) = Report::over("codec", &names)?;
    if is_default && !missing.is_empty() {
        let (folder, missing) = (folder.display(), missing.join(", "));
        return Err(format!("{folder} has no {missing}, of which targets.txt asks").into());
    }
    for name in missing {
        println!(
            "{name} is not in {}: its figures are left out",
            folder.display()
        );
    }
    let mut bench = Bench::new(&mut report, wish.quick);
    for name in &names {
        bench.corpus(&folder, name)?;
    }
    bench.finish()?;
    report.finish(&wish)
}

/// `--corpus DIR`, and what is like in every bench.
fn wish() -> Result<(Option<PathBuf>, Wish)> {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let mut folder = None;
    if let Some(at) = words.iter().position(|word| word == "--corpus") {
        let named = words.drain(at..words.len().min(at + 2)).nth(1);
        folder = Some(named.ok_or("--corpus needs a folder")?.into());
    }
    let wish = Wish::parse(words)?;
    match wish.words.first() {
        None => Ok((folder, wish)),
        Some(word) => Err(format!("does not know {word:?}").into()),
    }
}

/// What is summed up over corpora.
struct Bench<'a> {
    report: &'a mut Report,
    is_quick: bool,
    scraped_bytes: f64,
    scraped_samples: f64,
    /// Chunks of 720 that are nothing but integers, and nothing but decimals.
    integers: Vec<Vec<f64>>,
    decimals: Vec<Vec<f64>>,
}

/// All codecs, ours first in each group.
fn entries() -> Result<Vec<Entry>> {
    let (values, times) = (Holds::Values, Holds::Times(false));
    Ok(vec![
        Entry::new(ours::Values::default(), values),
        Entry::new(ours::Cold::default(), values),
        Entry::new(gorilla::Values, values),
        Entry::new(crates::Pco::new("pco4", 4, false), values),
        Entry::new(crates::Pco::new("pco8", 8, false), values),
        Entry::new(crates::Alp::default(), values),
        Entry::new(crates::Zstd::new()?, values),
        Entry::new(ours::Times, Holds::Times(true)),
        Entry::new(gorilla::Times, times),
        Entry::new(crates::Pco::new("pco8", 8, true), times),
        Entry::new(ours::Head, Holds::Samples(true)),
        Entry::new(prometheus::XorChunk, Holds::Samples(false)),
        Entry::new(crates::Tsz, Holds::Samples(false)),
    ])
}

impl<'a> Bench<'a> {
    fn new(report: &'a mut Report, is_quick: bool) -> Self {
        Self {
            report,
            is_quick,
            scraped_bytes: 0.0,
            scraped_samples: 0.0,
            integers: Vec::new(),
            decimals: Vec::new(),
        }
    }

    fn tell(&mut self, corpus: &str, what: &str, value: f64) -> Result<()> {
        self.report.tell(&format!("codec.{corpus}.{what}"), value)
    }

    fn rounds(&self) -> usize {
        if self.is_quick { 5 } else { ROUNDS }
    }

    fn corpus(&mut self, folder: &Path, name: &str) -> Result<()> {
        let mut series = corpus::read(folder, name)?;
        if self.is_quick {
            let step = series.len().div_ceil(QUICK_SERIES);
            series = series.into_iter().step_by(step.max(1)).collect();
        }
        let corpus = Corpus::new(name, series);
        for length in LENGTHS {
            self.length(&corpus, length)?;
        }
        let figures = database::of_corpus(&corpus.series, Options::default())?;
        let options = Options::default().entropy_coding(true);
        let cold = database::of_corpus(&corpus.series, options)?;
        for (which, figures) in [("database", figures), ("cold database", cold)] {
            println!(
                "  {which} after compaction: timestamps {:.4}, values {:.4}, directory {:.4}, all {:.4}",
                figures.timestamps, figures.values, figures.directory, figures.all
            );
        }
        self.tell(name, "chunks", figures.chunks())?;
        self.tell(name, "database", figures.all)?;
        self.tell(name, "cold_chunks", cold.chunks())?;
        if corpus.is_scraped() {
            self.scraped_bytes += figures.chunks() * figures.samples as f64;
            self.scraped_samples += figures.samples as f64;
        }
        Ok(())
    }

    fn length(&mut self, corpus: &Corpus, length: usize) -> Result<()> {
        let chunks = corpus.cut(length);
        let columns: Vec<Column<'_>> = chunks.iter().map(|chunk| corpus.column(chunk)).collect();
        let mut entries = entries()?;
        let mut lines = Vec::new();
        for entry in &mut entries {
            let size = entry.size(&columns);
            let size = size.map_err(|error| format!("{}: {error}", corpus.name))?;
            lines.push(Line::new(entry, size));
        }
        let timed = spread(columns.clone(), self.timed_samples());
        let speeds = speeds(&mut entries, &timed, self.rounds())?;
        for (line, speed) in lines.iter_mut().zip(speeds) {
            line.speed = speed;
        }
        table::print(&corpus.name, length, &columns, &lines);
        self.tell_length(&corpus.name, length, &lines)?;
        if length == LENGTHS[1] {
            for column in timed {
                match kind(column.values) {
                    Kind::Integers => self.integers.push(column.values.to_vec()),
                    Kind::Decimals => self.decimals.push(column.values.to_vec()),
                    Kind::Constant | Kind::Other => {}
                }
            }
        }
        Ok(())
    }

    fn timed_samples(&self) -> usize {
        TIMED_SAMPLES / if self.is_quick { 8 } else { 1 }
    }

    fn tell_length(&mut self, corpus: &str, length: usize, lines: &[Line]) -> Result<()> {
        let find = |name: &str, holds: Holds| {
            let found = lines.iter().find(|l| l.name == name && l.holds == holds);
            found.ok_or_else(|| format!("no {name}"))
        };
        let values = find("treering", Holds::Values)?;
        let gorilla = find("gorilla", Holds::Values)?;
        let pco8 = find("pco8", Holds::Values)?;
        let times = find("treering", Holds::Times(true))?;
        let shared = values.size.whole + times.size.shared;
        self.tell(corpus, &format!("values_{length}"), values.size.whole)?;
        self.tell(corpus, &format!("timestamps_{length}"), times.size.whole)?;
        self.tell(corpus, &format!("shared_{length}"), shared)?;
        if length == LENGTHS[0] {
            let head = find("head", Holds::Samples(true))?;
            let times = gorilla.size.whole / values.size.whole;
            self.tell(corpus, "values_gorilla_120", times)?;
            self.tell(corpus, "append", median(&head.speed.encode))?;
            self.tell(corpus, "head_decode", median(&head.speed.decode))?;
            return self.tell(corpus, "head_size", head.size.whole);
        }
        let longer = |rival: &Line| times_longer(&rival.speed.decode, &values.speed.decode);
        self.tell(
            corpus,
            "values_pco8_720",
            pco8.size.whole / values.size.whole,
        )?;
        self.tell(corpus, "decode_gorilla", longer(gorilla))?;
        self.tell(corpus, "decode_pco8", longer(pco8))?;
        let cold = find("cold", Holds::Values)?;
        let times = pco8.size.whole / cold.size.whole;
        self.tell(corpus, "cold_720", cold.size.whole)?;
        self.tell(corpus, "cold_pco8_720", times)?;
        self.tell(corpus, "cold_encode", median(&cold.speed.encode))?;
        self.tell(corpus, "cold_decode", median(&cold.speed.decode))?;
        self.tell(corpus, "decode", median(&values.speed.decode))?;
        self.tell(corpus, "encode", median(&values.speed.encode))
    }

    /// Ten blocks of M3; the head's stream and M3's own beside.
    fn m3(&mut self) -> Result<()> {
        let corpus = Corpus::new("ten blocks of M3", m3::series()?);
        let chunks = corpus.cut(LENGTHS[1]);
        let columns: Vec<Column<'_>> = chunks.iter().map(|chunk| corpus.column(chunk)).collect();
        let mut entries = [
            Entry::new(m3::Columns::default(), Holds::Samples(true)),
            Entry::new(ours::Head, Holds::Samples(true)),
            Entry::new(m3::M3tsz, Holds::Samples(true)),
            Entry::new(prometheus::XorChunk, Holds::Samples(false)),
        ];
        let mut lines = Vec::new();
        for entry in &mut entries {
            let size = entry.size(&columns)?;
            lines.push(Line::new(entry, size));
        }
        let speeds = speeds(&mut entries, &columns, self.rounds())?;
        for (line, speed) in lines.iter_mut().zip(speeds) {
            line.speed = speed;
        }
        // M3's streams were only found again, not written.
        lines[2].speed.encode.clear();
        table::print(&corpus.name, LENGTHS[1], &columns, &lines);
        self.report.tell("codec.m3_size", lines[0].size.whole)?;
        self.report
            .tell("codec.m3_encode", median(&lines[0].speed.encode))?;
        self.report
            .tell("codec.m3_decode", median(&lines[0].speed.decode))
    }

    /// What no single corpus tells.
    fn finish(&mut self) -> Result<()> {
        self.m3()?;
        let scraped = self.scraped_bytes / self.scraped_samples.max(1.0);
        self.report.tell("codec.scraped_chunks", scraped)?;
        let constants = database::of_constants()?;
        self.report.tell("codec.constant", constants.chunks())?;
        for (what, chunks) in [("integers", &self.integers), ("decimals", &self.decimals)] {
            let columns: Vec<Column<'_>> = chunks
                .iter()
                .map(|values| Column {
                    nanos: &[],
                    millis: &[],
                    values,
                })
                .collect();
            let mut entries = [Entry::new(ours::Values::default(), Holds::Values)];
            let speed = speeds(&mut entries, &columns, self.rounds())?;
            let nanos = median(&speed[0].decode);
            println!("{what}: {} chunks, {nanos:.2} ns a value", columns.len());
            self.report.tell(&format!("codec.{what}"), 8.0 / nanos)?;
        }
        Ok(())
    }
}
