//! Bodies that real senders wrote are taken, and Prometheus itself can write to us.

use std::path::Path;

use treering::{Selector, is_stale};
use treering_promql::Features;

use super::client::Served;

#[test]
fn bodies_of_real_senders_are_taken() {
    let Some(folder) = std::env::var_os("TREERING_EXCHANGES") else {
        eprintln!(
            "SKIPPED: bodies of real senders; TREERING_EXCHANGES names a folder of recorded remote \
             write bodies, SENDER_write-NUMBER.bin"
        );
        return;
    };
    let entries = std::fs::read_dir(Path::new(&folder)).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut taken = 0;
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !(name.contains("_write-") && name.ends_with(".bin")) {
            continue;
        }
        let served = Served::new(Features::default());
        let reply = served.client().write_bytes(&std::fs::read(&path).unwrap());
        assert_eq!(reply.status, 204, "{name}: {reply:?}");
        let mut samples = 0;
        for series in served.db.select(&Selector::all(), ..).unwrap() {
            let series = series.unwrap();
            assert!(
                series.labels().name().is_some(),
                "{name}: {}",
                series.labels()
            );
            let columns = series.columns().unwrap();
            samples += columns
                .values
                .iter()
                .filter(|value| !is_stale(**value))
                .count();
        }
        assert!(samples > 0, "{name} stored nothing");
        taken += 1;
    }
    assert!(taken > 0, "no bodies in {}", Path::new(&folder).display());
}
