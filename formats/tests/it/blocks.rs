//! Blocks that Prometheus' own tool wrote.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use treering::{Labels, SampleColumns};
use treering_formats::prometheus::{Block, ChunkFiles, Index, Tombstones};

/// A block's files in memory.
#[derive(Debug, Default)]
pub(crate) struct Files {
    pub(crate) index: Vec<u8>,
    pub(crate) chunks: Vec<Vec<u8>>,
    pub(crate) tombstones: Vec<u8>,
}

impl Files {
    fn of(folder: &Path) -> Self {
        let mut names: Vec<PathBuf> = std::fs::read_dir(folder.join("chunks"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        names.sort();
        Self {
            index: std::fs::read(folder.join("index")).unwrap(),
            chunks: names
                .iter()
                .map(|name| std::fs::read(name).unwrap())
                .collect(),
            tombstones: std::fs::read(folder.join("tombstones")).unwrap(),
        }
    }

    /// All series, or the first thing that is wrong.
    pub(crate) fn series(&self) -> Result<BTreeMap<Labels, SampleColumns>, String> {
        let index = Index::new(&self.index).map_err(|error| format!("index: {error}"))?;
        let files = ChunkFiles::new(self.chunks.clone())
            .map_err(|(file, error)| format!("{file}: {error}"))?;
        let tombstones = Tombstones::new(&self.tombstones);
        let tombstones = tombstones.map_err(|error| format!("tombstones: {error}"))?;
        let block = Block::new(index, files, tombstones);
        let series = block
            .series()
            .map(|one| one.map_err(|error| error.to_string()));
        series.collect()
    }
}

/// What is written: series by labels, samples by milliseconds.
type Samples = BTreeMap<Labels, Vec<(i64, f64)>>;

fn samples() -> Samples {
    let start = 1_700_000_000_000_i64 / 7_200_000 * 7_200_000;
    let of = |host: usize, metric: &str| {
        Labels::from_pairs([
            ("__name__", metric),
            ("host", &*format!("host \"{host}\" \\ \n")),
        ])
        .unwrap()
    };
    let mut all = Samples::new();
    for host in 0..40 {
        let times = (0..400_i64).map(|n| start + n * 15_000 + (n * 7919 % 37) * (host as i64 % 3));
        let counter = times
            .clone()
            .zip(0..)
            .map(|(t, n)| (t, f64::from(n * (host as i32 + 1))));
        all.insert(of(host, "requests_total"), counter.collect());
        let gauge = times.zip(0..).map(|(t, n)| (t, (f64::from(n) / 3.0).sin()));
        all.insert(of(host, "temperature"), gauge.collect());
    }
    all
}

/// A block by promtool, or `None`, loudly, where there is none.
pub(crate) fn block(samples: &Samples) -> Option<Files> {
    let mut text = String::new();
    for (labels, samples) in samples {
        let name = labels.get("__name__").unwrap();
        let others: Vec<String> = labels
            .iter()
            .filter(|(name, _)| *name != "__name__")
            .map(|(name, value)| {
                let value = value
                    .replace('\\', "\\\\")
                    .replace('"', "\\\"")
                    .replace('\n', "\\n");
                format!("{name}=\"{value}\"")
            })
            .collect();
        for (time, value) in samples {
            let seconds = format!("{}.{:03}", time / 1000, time % 1000);
            writeln!(text, "{name}{{{}}} {value} {seconds}", others.join(",")).unwrap();
        }
    }
    text.push_str("# EOF\n");
    let folder = tempfile::tempdir().unwrap();
    let (file, blocks) = (folder.path().join("in.txt"), folder.path().join("blocks"));
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new("promtool");
    command.args(["tsdb", "create-blocks-from", "openmetrics"]);
    let run = command.arg(&file).arg(&blocks).output();
    let Ok(output) = run else {
        println!("SKIPPED: blocks of Prometheus: apt-get install prometheus brings promtool");
        return None;
    };
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut entries = std::fs::read_dir(&blocks).unwrap();
    let files = Files::of(&entries.next().unwrap().unwrap().path());
    assert!(entries.next().is_none(), "the samples lie in one block");
    Some(files)
}

#[test]
fn a_block_of_prometheus_is_read_bit_for_bit() {
    let wanted = samples();
    let Some(files) = block(&wanted) else { return };
    let found = files.series().unwrap();
    assert_eq!(found.len(), wanted.len());
    for (labels, samples) in &wanted {
        let found = &found[labels];
        let times: Vec<i64> = samples.iter().map(|(time, _)| time * 1_000_000).collect();
        assert_eq!(found.timestamps, times, "{labels}");
        let bits = samples.iter().map(|(_, value)| value.to_bits());
        assert!(
            bits.eq(found.values.iter().map(|value| value.to_bits())),
            "{labels}"
        );
    }
}
