//! The reader in `docs/format/read_chunk.py`, written from the page beside it alone, finds the same
//! samples as ours, bit for bit: in every golden file and in columns of many shapes. Words that make
//! no sense to it are told in a line.
//!
//! Without `python3` the test says that it was skipped and passes; `cargo xtask test` says so too.

use crate::data::{timestamps, values};
use crate::extras::histogram;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use treering_codec::{
    Extras, ExtrasForm, Histogram, ResetHint, StreamEncoder, decode_extras, decode_stream,
    decode_timestamps, decode_values, encode_extras, encode_timestamps, encode_values,
    encode_values_cold, split_extras,
};

/// Random columns of each kind.
const COLUMNS: usize = 400;

/// What Python is asked, and what our own decoder answers.
#[derive(Default)]
struct Questions {
    asked: Vec<String>,
    answers: Vec<String>,
}

impl Questions {
    fn ask(&mut self, kind: &str, count: usize, bytes: &[u8], answer: Vec<String>) {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.asked.push(format!("{kind} {count} {hex}"));
        self.answers.push(answer.join(" "));
    }

    fn ask_values(&mut self, bytes: &[u8], count: usize) {
        let mut found = Vec::new();
        decode_values(bytes, count, &mut found).unwrap();
        let words = found
            .iter()
            .map(|value| format!("{:016x}", value.to_bits()));
        self.ask("values", count, bytes, words.collect());
    }

    /// What a section of extras has, or what stands beside a value column.
    fn ask_extras(&mut self, kind: &str, bytes: &[u8], section: &[u8], count: usize) {
        let found = decode_extras(section, count).unwrap();
        let histograms = found.histograms.iter();
        let histograms = histograms.map(|(place, one)| format!("{place}:{}", words(one)));
        let starts = found.starts.iter();
        let starts = starts.map(|(at, start)| format!("{}-{}:{start}", at.start, at.end));
        self.ask(kind, count, bytes, histograms.chain(starts).collect());
    }

    fn ask_times(&mut self, bytes: &[u8]) {
        let mut found = Vec::new();
        decode_timestamps(bytes, &mut found).unwrap();
        self.ask(
            "times",
            0,
            bytes,
            found.iter().map(i64::to_string).collect(),
        );
    }

    fn ask_stream(&mut self, bytes: &[u8]) {
        let (mut times, mut found) = (Vec::new(), Vec::new());
        decode_stream(bytes, &mut times, &mut found).unwrap();
        let pairs = times.iter().zip(&found);
        let words = pairs.map(|(time, value)| format!("{time}:{:016x}", value.to_bits()));
        self.ask("stream", 0, bytes, words.collect());
    }

    /// Compares every answer; the first that differs fails with its question.
    fn check(&self) {
        let Some(found) = python(&self.asked) else {
            return;
        };
        assert_eq!(found.len(), self.asked.len());
        for ((asked, wanted), found) in self.asked.iter().zip(&self.answers).zip(&found) {
            let same = wanted
                .split(' ')
                .zip(found.split(' '))
                .take_while(|(a, b)| a == b);
            let first = same.count();
            assert!(
                found == wanted,
                "{asked}\ndiffers at sample {first}: {found:.200}"
            );
        }
    }
}

/// A histogram as the reader writes it.
fn words(one: &Histogram) -> String {
    let hint = match one.hint {
        ResetHint::Unknown => 0,
        ResetHint::Reset => 1,
        ResetHint::NotReset => 2,
        ResetHint::Gauge => 3,
    };
    let mut words = vec![format!("h{}", one.schema), format!("{hint}")];
    let numbers = [one.zero_threshold, one.count, one.sum, one.zero_count];
    words.extend(numbers.map(|number| format!("{:016x}", number.to_bits())));
    for (name, side) in [("p", &one.positive), ("n", &one.negative)] {
        let side = side.iter();
        words.extend(side.map(|(at, count)| format!("{name}{at}={:016x}", count.to_bits())));
    }
    let bounds = one.bounds.iter();
    words.extend(bounds.map(|bound| format!("b{:016x}", bound.to_bits())));
    words.join(",")
}

/// The lines that the reader answers; `None` without Python.
fn python(asked: &[String]) -> Option<Vec<String>> {
    let output = script(&["batch"], asked.join("\n") + "\n")?;
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    Some(text.lines().map(str::to_owned).collect())
}

/// What the reader says to `words` and `questions`; `None` without Python.
#[allow(clippy::print_stdout, reason = "what was skipped is said")]
fn script(words: &[&str], questions: String) -> Option<Output> {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new("python3");
    command
        .arg(manifest.join("../docs/format/read_chunk.py"))
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            println!("SKIPPED: the second reader of the format, because there is no python3");
            return None;
        }
        started => started.unwrap(),
    };
    let mut input = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(questions.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    Some(output)
}

#[test]
fn golden_files_hold_the_same_for_a_second_reader() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut questions = Questions::default();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap();
        match name.split('_').next().unwrap() {
            "values" if name == "values_raw" => questions.ask_values(&bytes, 40),
            "values" => {
                questions.ask_values(&bytes, 300);
                if let Some(section) = split_extras(&bytes).unwrap().1 {
                    questions.ask_extras("beside", &bytes, section, 300);
                }
            }
            "extras" => questions.ask_extras("extras", &bytes, &bytes, 300),
            "times" => questions.ask_times(&bytes),
            "stream" => questions.ask_stream(&bytes),
            _ => {}
        }
    }
    assert!(
        questions.asked.len() >= 22,
        "{} golden files",
        questions.asked.len()
    );
    questions.check();
}

#[test]
fn any_columns_hold_the_same_for_a_second_reader() {
    let mut runner = TestRunner::default();
    let mut questions = Questions::default();
    for _ in 0..COLUMNS {
        let floats = values().new_tree(&mut runner).unwrap().current();
        let mut bytes = Vec::new();
        encode_values(&floats, &mut bytes);
        questions.ask_values(&bytes, floats.len());
        bytes.clear();
        encode_values_cold(&floats, &mut bytes);
        questions.ask_values(&bytes, floats.len());

        let times = timestamps().new_tree(&mut runner).unwrap().current();
        bytes.clear();
        encode_timestamps(&times, &mut bytes);
        questions.ask_times(&bytes);

        let mut stream = StreamEncoder::new();
        for (time, value) in times.iter().zip(&floats) {
            stream.push(*time, *value);
        }
        questions.ask_stream(&stream.finish());

        let mut extras = Extras::new();
        for place in 0..floats.len().min(20) as u32 {
            let one = histogram().new_tree(&mut runner).unwrap().current();
            let one = (place % 3 > 0).then(|| Arc::new(one));
            extras.push(place, one, i64::from(place / 4));
        }
        for form in [ExtrasForm::Single, ExtrasForm::Columns, ExtrasForm::Cold] {
            if !extras.is_empty() {
                bytes.clear();
                encode_extras(&extras, form, &mut bytes);
                questions.ask_extras("extras", &bytes, &bytes, floats.len());
            }
        }
    }
    questions.check();
}

#[test]
fn words_that_make_no_sense_get_one_line_and_their_own_exit_code() {
    for words in [
        &[][..],
        &["valves", "3", "file"],
        &["values", "file"],
        &["values", "three", "file"],
        &["values", "-3", "file"],
        &["times"],
        &["times", "one", "two"],
        &["stream", "no such file"],
    ] {
        let Some(output) = script(words, String::new()) else {
            return;
        };
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}: {told}");
        assert_eq!(told.lines().count(), 1, "{words:?}: {told}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_line_that_makes_no_sense_ends_no_batch() {
    let questions = ["values 1 2100", "valves 1 2100", "values 1 xyz", "values"];
    let asked: Vec<_> = questions.into_iter().map(str::to_owned).collect();
    let Some(found) = python(&asked) else {
        return;
    };
    assert_eq!(found.len(), asked.len());
    assert_eq!(found[0], "0000000000000000");
    for answer in &found[1..] {
        assert!(answer.starts_with("error: "), "{answer}");
    }
}
