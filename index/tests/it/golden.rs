//! The bytes of the format do not change: a file written once is written the same and still read.

use std::collections::BTreeSet;
use std::path::PathBuf;

use treering_index::{IndexReader, Labels, Selector};

use crate::model::write;

fn sample() -> BTreeSet<Labels> {
    let mut sets: BTreeSet<Labels> = (0..40u32)
        .map(|n| {
            let pairs = [
                ("__name__", ["cpu", "mem"][n as usize % 2].to_owned()),
                ("host", format!("host_{}", n / 2)),
                (
                    "rack",
                    if n % 5 == 0 {
                        String::new()
                    } else {
                        format!("r{}", n % 3)
                    },
                ),
            ];
            Labels::from_pairs(pairs).unwrap()
        })
        .collect();
    sets.insert(Labels::empty());
    sets.insert(Labels::parse(r#"{"a b"="\u00e9\n"}"#).unwrap());
    sets
}

#[test]
fn version_1_is_written_and_read_as_ever() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/index_v1.bin");
    let written = write(&sample());
    if std::env::var_os("TREERING_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, &written).unwrap();
    }
    let golden = std::fs::read(&path).unwrap();
    assert_eq!(written, golden);
    let index = IndexReader::open(golden).unwrap();
    index.verify().unwrap();
    for (labels, ordinal) in sample().iter().zip(0u32..) {
        assert_eq!(&index.labels(ordinal).unwrap(), labels);
    }
    let selector = Selector::parse(r#"cpu{host=~"host_1.*",rack=""}"#).unwrap();
    let found = index.select(selector.matchers()).unwrap();
    let found: Vec<String> = found
        .iter()
        .map(|ordinal| index.labels(ordinal).unwrap().to_string())
        .collect();
    assert_eq!(found, [r#"cpu{host="host_10"}"#, r#"cpu{host="host_15"}"#]);
}
