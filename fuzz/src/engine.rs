//! Targets over the engine's files: single ones by their readers, and whole databases of which one
//! file of the committed base is changed behind right checksums, then opened and asked everything.
//!
//! Input: any bytes. Invariants asserted: readers bound what they give by what they were given;
//! opening gives a database or an error; what an open database answers is in order and countable,
//! or an error; after closing it opens again.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use treering::testing;
use treering::vfs::Vfs;
use treering::{
    Aggregate, Batch, Columns, Db, Error, ExportedChunk, Function, Maintenance, Options, Reads,
    Selector, Sync, labels, stale_marker,
};

use crate::files::{Base, patch_block};

/// The bytes as a WAL file, as a payload, and as a payload in a frame with a right checksum.
pub fn wal_replay(data: &[u8]) {
    if let Ok((frames, cut)) = testing::read_wal_files(&[data]) {
        assert!(cut <= data.len() as u64);
        assert!(frames <= data.len() as u64 / 32);
    }
    if let Ok(samples) = testing::read_wal_payload(data) {
        assert!(samples * 8 <= data.len());
    }
    let framed = testing::wal_file_of(&[data]);
    let read = testing::read_wal_files(&[&framed]);
    assert_eq!(
        read.expect("a file of ours"),
        (1, 0),
        "a whole frame is never cut"
    );
}

/// Frames with right checksums. Two bytes before each payload: its length, and in the upper three
/// bits the kind, counted from that of a batch.
pub fn wal_frames(data: &[u8]) {
    let mut frames = Vec::new();
    let mut rest = data;
    while let Some((head, tail)) = rest.split_first_chunk::<2>() {
        let head = u16::from_le_bytes(*head);
        let len = usize::from(head & 0x1fff).min(tail.len());
        let (payload, next) = tail.split_at(len);
        frames.push((1 + (head >> 13) as u8, payload));
        rest = next;
    }
    let base = Base::get();
    survive(base.with("wal", &base.wal(&frames)), data.len());
}

/// The payload of a frame that holds a change, its kind before it.
pub fn wal_change(data: &[u8]) {
    let Some((kind, payload)) = data.split_first() else {
        return;
    };
    let kind = 3 + kind % 3;
    if let Ok(Some(change)) = testing::WalChange::decode(kind, payload) {
        let (again, bytes) = change.encode();
        assert_eq!(again, kind);
        // We write numbers in their shortest form.
        assert!(bytes.len() <= payload.len(), "{change:?}");
        let read = testing::WalChange::decode(kind, &bytes).expect("what we wrote");
        assert_eq!(read, Some(change));
    }
}

/// The bytes as an exported chunk, as they are and behind a right version and before a right
/// checksum.
pub fn exported_chunk(data: &[u8]) {
    let check = |bytes: &[u8]| {
        if let Ok(samples) = ExportedChunk::decode_samples(bytes) {
            let count = samples.timestamps.len();
            let columns = [samples.histograms.len(), samples.starts.len()];
            assert!(columns.iter().all(|&len| len == 0 || len == count));
            let series = labels! { "a" => "b" };
            let db = Db::in_memory().expect("a store in memory");
            // What is not well-formed is refused.
            if db.append(&Batch::new().samples(series, &samples)).is_ok() {
                let again = db.export(.., ..).expect("an open database");
                let read = again.map(|chunk| {
                    let chunk = ExportedChunk::decode_samples(&chunk.expect("a chunk").bytes);
                    chunk.expect("what we wrote").values.len()
                });
                assert_eq!(read.sum::<usize>(), count);
            }
        }
        if let Ok(columns) = ExportedChunk::decode(bytes) {
            assert!((1..=8192).contains(&columns.values.len()));
            assert_eq!(columns.timestamps.len(), columns.values.len());
            assert!(
                columns
                    .timestamps
                    .is_sorted_by(|before, after| before < after)
            );
            let db = Db::in_memory().expect("a store in memory");
            let (series, Columns { timestamps, values }) = (labels! { "a" => "b" }, &columns);
            let batch = Batch::new().column(series, timestamps, values);
            db.append(&batch).expect("samples like any other");
            let again = db.export(.., ..).expect("an open database");
            let read = again.flat_map(|chunk| {
                let columns = ExportedChunk::decode(&chunk.expect("a chunk").bytes);
                columns.expect("what we wrote").values
            });
            let bits: Vec<u64> = read.map(f64::to_bits).collect();
            assert!(values.iter().map(|value| value.to_bits()).eq(bits));
        }
    };
    check(data);
    for start in [&[][..], &[1, 1], &[1, 2]] {
        let mut sealed = [start, data].concat();
        sealed.extend(treering_codec::crc32(0, &sealed).to_le_bytes());
        check(&sealed);
    }
}

/// The bytes as a manifest.
pub fn manifest_open(data: &[u8]) {
    if let Ok((blocks, cut)) = testing::read_manifest(data) {
        assert!(cut <= data.len() as u64);
        // An added block takes at least nine bytes.
        assert!(blocks <= data.len() / 9);
    }
}

/// The payload of one more record of the manifest, with a right checksum.
pub fn manifest_records(data: &[u8]) {
    if let Ok(bytes) = testing::rewrite_manifest_record(data) {
        let again = testing::rewrite_manifest_record(&bytes).expect("what we wrote");
        assert_eq!(again, bytes);
    }
    let base = Base::get();
    survive(base.with("manifest", &base.manifest(data)), data.len());
}

/// The bytes as a block, everything in it read through a map and from the file.
pub fn block_open(data: &[u8]) {
    if let Ok(samples) = testing::read_block(data) {
        // Verified: each chunk was decoded, and none holds more than its directory allows.
        assert!(samples <= (data.len() as u64).saturating_mul(8192));
    }
}

/// The block with some bytes exchanged and every checksum right again.
pub fn block_patched(data: &[u8]) {
    let base = Base::get();
    survive(base.with("blocks", &base.block(data)), data.len());
}

/// A stepped block with some bytes exchanged and every checksum right again.
pub fn block_stepped(data: &[u8]) {
    static BLOCK: OnceLock<Vec<u8>> = OnceLock::new();
    let block = BLOCK.get_or_init(stepped_block);
    let patched = patch_block(block, data);
    match testing::read_block(&patched) {
        Ok(samples) => assert!(samples <= (patched.len() as u64).saturating_mul(8192)),
        Err(error) => assert!(
            patched != *block && (error.is_corruption() || matches!(error, Error::Version { .. })),
            "{error}"
        ),
    }
}

/// Ten thousand samples in steps of a minute: some of one sample, some that end with a stale marker.
pub fn stepped_block() -> Vec<u8> {
    let value = |at: u32| match at % 613 {
        0 => stale_marker(),
        1 => f64::NAN,
        wave => f64::from(wave * wave % 997) / 4.0,
    };
    let values: Vec<f64> = (0..10_000).map(value).collect();
    testing::stepped_block_of(&labels! { "__name__" => "up" }, &values).expect("a store in memory")
}

/// Opens, asks, appends, flushes, opens again. `choice` picks how blocks are read.
fn survive(store: Arc<dyn Vfs>, choice: usize) {
    let reads = if choice.is_multiple_of(2) {
        Reads::Mmap
    } else {
        Reads::Pread
    };
    let options = || {
        Options::default()
            .vfs(Arc::clone(&store))
            .reads(reads)
            .sync(Sync::Never)
            .maintenance(Maintenance::Manual)
            .memory_bytes(64 << 20)
            .reserve_bytes(0)
    };
    let Ok(db) = Db::open("/db", options()) else {
        return;
    };
    ask(&db);
    let probe = labels! { "__name__" => "probe" };
    let appended = db.append(&Batch::new().sample(&probe, 1, 2.0)).is_ok();
    let flushed = db.flush().is_ok();
    let closed = db.close().is_ok();
    drop(db);
    if !(appended && flushed && closed) {
        return;
    }
    let db = Db::open("/db", options()).expect("closed without an error, yet it does not open");
    let found = db
        .select(&Selector::metric("probe"), 1..=1)
        .map(|found| found.count());
    if let Ok(found) = found {
        assert_eq!(found, 1, "the appended sample is gone");
    }
}

/// Asks for everything; each answer is an error or makes sense.
fn ask(db: &Db) {
    let stats = db.stats();
    let most = stats.head_samples.saturating_add(stats.block_samples);
    let mut samples = 0u64;
    if let Ok(all) = db.select(&Selector::all(), ..) {
        for series in all {
            let Ok(series) = series else { break };
            let Ok(columns) = series.columns() else {
                continue;
            };
            assert_eq!(columns.timestamps.len(), columns.values.len());
            assert!(columns.timestamps.is_sorted_by(|a, b| a < b));
            samples += columns.values.len() as u64;
            let lazy = series.samples().take_while(Result::is_ok).count();
            assert_eq!(lazy, columns.values.len());
        }
    }
    assert!(samples <= most, "{samples} samples of {most}");
    for function in [Function::Sum, Function::Quantile(0.5), Function::Increase] {
        let whole = Aggregate::new(function);
        let hourly = Aggregate::new(function)
            .step(Duration::from_secs(3600))
            .by(["host"]);
        let _ = db.aggregate(&Selector::all(), .., &whole);
        let _ = db.aggregate(&Selector::all(), 0..=86_400_000_000_000, &hourly);
    }
    let _ = db.latest(&Selector::all());
    let _ = db.label_names(&Selector::all(), ..);
    let _ = db.label_values("host", &Selector::all(), ..);
}
