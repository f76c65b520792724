//! Corpora: real series as compressed text, in the folder that `TREERING_CORPORA` names.
//!
//! Input: `NAME/data.txt.zst`: a line `#series LABELS` opens a series, each line after it is
//! `MILLISECONDS,VALUE`. An empty time means values only: such samples get one-second steps from
//! [`VALUE_ONLY_START`]. Values are decimal text, `STALE`, `NaN:HEX` (the bits), `+Inf` or `-Inf`.
//! Lines that start with `# ` are remarks. Output: series with nanoseconds and bit-exact values.
//!
//! LABELS is `{name="value",...}` with `\\`, `\"` and `\n` escaped, or a bare word, which becomes
//! the label `file` of a series named after the corpus.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Time of the first sample of a value-only series: 2024-01-01T00:00:00Z, in nanoseconds.
pub const VALUE_ONLY_START: i64 = 1_704_067_200 * SECOND;

/// The bits of Prometheus' stale marker, a signalling NaN.
pub const STALE_BITS: u64 = 0x7ff0_0000_0000_0002;

const MILLISECOND: i64 = 1_000_000;
const SECOND: i64 = 1_000_000_000;

/// One series of a corpus: columns of equal length, in the order of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct CorpusSeries {
    /// Label names and values, sorted by name, `__name__` among them.
    pub labels: Vec<(String, String)>,
    /// Nanoseconds since the Unix epoch.
    pub timestamps: Vec<i64>,
    /// Bit-exact values.
    pub values: Vec<f64>,
}

/// The folder of the corpora; `None` when `TREERING_CORPORA` is unset.
pub fn folder() -> Option<PathBuf> {
    std::env::var_os("TREERING_CORPORA").map(PathBuf::from)
}

/// Names of the corpora in `folder` that hold samples, sorted. An empty folder is an error.
pub fn names(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| at(folder, e))? {
        let entry = entry?;
        if entry.path().join("data.txt.zst").is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    if names.is_empty() {
        return Err(format!("{}: no corpus in this folder", folder.display()).into());
    }
    Ok(names)
}

/// Reads the corpus `name` of `folder` whole.
pub fn read(folder: &Path, name: &str) -> Result<Vec<CorpusSeries>> {
    let path = folder.join(name).join("data.txt.zst");
    let file = File::open(&path).map_err(|error| at(&path, error))?;
    let decoder = zstd::Decoder::new(file)?;
    parse(BufReader::new(decoder), name).map_err(|error| at(&path, error))
}

/// Reads corpus text. `name` names series that have no labels of their own.
pub fn parse(text: impl BufRead, name: &str) -> Result<Vec<CorpusSeries>> {
    let mut all: Vec<CorpusSeries> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line?;
        if let Some(labels) = line.strip_prefix("#series ") {
            let labels = parse_labels(labels, name).map_err(|e| on_line(number, e))?;
            all.push(CorpusSeries {
                labels,
                timestamps: Vec::new(),
                values: Vec::new(),
            });
        } else if !line.is_empty() && !line.starts_with("# ") {
            let series = all
                .last_mut()
                .ok_or_else(|| on_line(number, "no series".into()))?;
            push_sample(series, &line).map_err(|error| on_line(number, error))?;
        }
    }
    Ok(all)
}

/// Reads a file of label sets, one JSON object a line: the corpus `prom_20kseries_labels`.
pub fn read_label_sets(path: &Path) -> Result<Vec<Vec<(String, String)>>> {
    let decoder = zstd::Decoder::new(File::open(path).map_err(|error| at(path, error))?)?;
    let mut sets = Vec::new();
    for (number, line) in (1..).zip(BufReader::new(decoder).lines()) {
        let set: std::collections::BTreeMap<String, String> =
            serde_json::from_str(&line?).map_err(|error| on_line(number, error.into()))?;
        sets.push(set.into_iter().collect());
    }
    Ok(sets)
}

/// The text of a value, as [`parse`] reads it back bit for bit.
pub fn value_text(value: f64) -> String {
    if value.to_bits() == STALE_BITS {
        "STALE".to_owned()
    } else if value.is_nan() {
        format!("NaN:{:016x}", value.to_bits())
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        format!("{value}")
    }
}

/// The text of labels, as [`parse`] reads it back.
pub fn labels_text(labels: &[(String, String)]) -> String {
    let pairs: Vec<String> = labels
        .iter()
        .map(|(name, value)| {
            let escaped = value
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            format!("{name}=\"{escaped}\"")
        })
        .collect();
    format!("{{{}}}", pairs.join(","))
}

fn push_sample(series: &mut CorpusSeries, line: &str) -> Result<()> {
    let (time, value) = line.split_once(',').ok_or("a sample without a comma")?;
    let timestamp = if time.is_empty() {
        VALUE_ONLY_START + series.timestamps.len() as i64 * SECOND
    } else {
        time.parse::<i64>()?
            .checked_mul(MILLISECOND)
            .ok_or("a time beyond nanoseconds")?
    };
    series.timestamps.push(timestamp);
    series.values.push(parse_value(value)?);
    Ok(())
}

fn parse_value(text: &str) -> Result<f64> {
    match text {
        "STALE" => Ok(f64::from_bits(STALE_BITS)),
        "+Inf" => Ok(f64::INFINITY),
        "-Inf" => Ok(f64::NEG_INFINITY),
        _ => match text.strip_prefix("NaN:") {
            Some(bits) => Ok(f64::from_bits(u64::from_str_radix(bits, 16)?)),
            None => Ok(text.parse()?),
        },
    }
}

fn parse_labels(text: &str, corpus: &str) -> Result<Vec<(String, String)>> {
    let Some(inside) = text
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
    else {
        let named = [("__name__", corpus), ("file", text)];
        return Ok(named
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into());
    };
    let mut labels = Vec::new();
    let mut rest = inside;
    while !rest.is_empty() {
        let (name, tail) = rest
            .split_once("=\"")
            .ok_or("a label without a quoted value")?;
        let (value, tail) = parse_quoted(tail)?;
        labels.push((name.to_owned(), value));
        rest = match tail.strip_prefix(',') {
            Some(next) => next,
            None if tail.is_empty() => tail,
            None => return Err("no comma between labels".into()),
        };
    }
    labels.sort();
    Ok(labels)
}

/// The value up to the closing quote, and what follows it.
fn parse_quoted(text: &str) -> Result<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((index, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &text[index + 1..])),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, c @ ('\\' | '"'))) => value.push(c),
                _ => return Err("an unknown escape in a label value".into()),
            },
            _ => value.push(c),
        }
    }
    Err("a label value without its closing quote".into())
}

fn at(path: &Path, error: impl std::fmt::Display) -> Error {
    format!("{}: {error}", path.display()).into()
}

fn on_line(number: usize, error: Error) -> Error {
    format!("line {number}: {error}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_the_text_is_read() {
        let text = "# a remark\n#series {__name__=\"up\",path=\"a\\\\b\\\"\\n\"}\n\
                    1795294024655,0.5\n1795294025655,STALE\n1795294026655,NaN:7ff8000000000001\n\
                    #series plain.csv\n,+Inf\n,-0\n";
        let all = parse(text.as_bytes(), "mine").unwrap();
        assert_eq!(all[0].labels[1], ("path".to_owned(), "a\\b\"\n".to_owned()));
        assert_eq!(
            labels_text(&all[0].labels),
            "{__name__=\"up\",path=\"a\\\\b\\\"\\n\"}"
        );
        assert_eq!(all[0].timestamps[0], 1_795_294_024_655_000_000);
        let bits: Vec<u64> = all[0].values.iter().map(|value| value.to_bits()).collect();
        assert_eq!(bits, [0.5f64.to_bits(), STALE_BITS, 0x7ff8_0000_0000_0001]);
        assert_eq!(
            all[1].labels[1],
            ("file".to_owned(), "plain.csv".to_owned())
        );
        assert_eq!(all[1].timestamps[1] - all[1].timestamps[0], SECOND);
        assert_eq!(all[1].values[1].to_bits(), (-0.0f64).to_bits());
    }

    #[test]
    fn a_damaged_line_is_named() {
        for text in [
            "1,2\n",
            "#series {a=\"b}\n",
            "#series x\n1;2\n",
            "#series x\n1,zero\n",
        ] {
            let error = parse(text.as_bytes(), "mine").unwrap_err().to_string();
            assert!(error.starts_with("line "), "{error}");
        }
    }

    #[test]
    fn values_come_back_from_their_text() {
        let values = [
            0.1,
            -0.0,
            1e300,
            5e-324,
            f64::INFINITY,
            f64::from_bits(STALE_BITS),
        ];
        for value in values {
            assert_eq!(
                parse_value(&value_text(value)).unwrap().to_bits(),
                value.to_bits()
            );
        }
    }

    #[test]
    fn the_corpora_have_the_counts_that_they_state() {
        let Some(folder) = folder() else {
            println!("SKIPPED: the corpora's counts, because TREERING_CORPORA is not set");
            return;
        };
        for name in names(&folder).unwrap() {
            let meta = std::fs::read_to_string(folder.join(&name).join("META.txt")).unwrap();
            let all = read(&folder, &name).unwrap();
            let samples: usize = all.iter().map(|series| series.values.len()).sum();
            for stated in [
                format!("series={} ", all.len()),
                format!("samples={samples}"),
            ] {
                let holds = meta.lines().any(|line| {
                    line.contains(stated.as_str()) || line.ends_with(stated.trim_end())
                });
                assert!(holds, "{name}: {stated} is not in {meta}");
            }
        }
    }
}
