//! Manifests as earlier releases wrote them: each later release reads them.
//!
//! With `TREERING_REGENERATE_GOLDEN=1` the one of this version is written anew, which is right only
//! together with a change of `docs/format/manifest.md`.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::*;

fn path(name: &str) -> PathBuf {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/manifest/tests/golden");
    golden.join(name)
}

/// The edits of the golden manifest: all that a record can hold.
fn history() -> Vec<Edit> {
    let block = |id, namespace, max_sequence| BlockEntry {
        id,
        namespace,
        level: 3,
        min_time: -1_700_000_000_000_000_000,
        max_time: 1_700_000_000_000_000_000,
        min_sequence: 1,
        max_sequence,
        bytes: 123_456,
        purged: max_sequence,
        step: 0,
    };
    let day = Duration::from_secs(86_400);
    let options = NamespaceOptions::default()
        .retention(365 * day)
        .retention_bytes(1 << 40)
        .block_window(day)
        .max_series(1000)
        .downsample(7 * day, Duration::from_secs(60))
        .downsample(30 * day, Duration::from_secs(3600));
    let selector = Selector::metric("cpu").ne("dc", "");
    let selector = selector
        .regex("host", "a.*")
        .unwrap()
        .not_regex("rack", "(?i:r)1")
        .unwrap();
    let create = |id, name: &str, options: &NamespaceOptions| NamespaceChange::Create {
        id,
        name: name.to_owned(),
        options: options.clone(),
    };
    let tombstone = |sequence, namespace| Tombstone {
        sequence,
        namespace,
        selector: selector.clone(),
        first: i64::MIN,
        last: i64::MAX,
    };
    let metadata = |namespace, metric: &str, metadata| MetadataChange {
        namespace,
        metric: metric.to_owned(),
        metadata,
    };
    let sent = Metadata::new(MetricKind::Counter)
        .unit("bytes")
        .help("Bytes sent.");
    let first = Edit {
        next_block: 3,
        flushed_through: 9,
        wal_floor: 2,
        add: vec![block(1, 0, 9), block(2, 0, 9)],
        ..Edit::default()
    };
    let second = Edit {
        next_block: 5,
        flushed_through: 300,
        wal_floor: 4,
        add: vec![
            block(3, 1, 300),
            BlockEntry {
                step: 60,
                purged: 301,
                ..block(4, 2, 300)
            },
        ],
        remove: vec![1],
        purge: vec![(2, 200)],
        namespaces: vec![
            create(1, "metrics", &options),
            create(2, "Team-7_x.y", &NamespaceOptions::default()),
            NamespaceChange::Alter {
                id: 0,
                options: NamespaceOptions::default().retention(day),
            },
        ],
        tombstones: vec![tombstone(10, 0), tombstone(200, 1), tombstone(290, 2)],
        metadata: vec![
            metadata(0, "sent", Some(sent.clone())),
            metadata(2, "sent", Some(sent)),
            metadata(0, "state", Some(Metadata::new(MetricKind::StateSet))),
        ],
        ..Edit::default()
    };
    let third = Edit {
        next_block: 5,
        flushed_through: 300,
        wal_floor: 4,
        next_namespace: 9,
        remove: vec![4],
        namespaces: vec![NamespaceChange::Drop { id: 2 }],
        forget: vec![10],
        metadata: vec![metadata(0, "state", None)],
        ..Edit::default()
    };
    vec![first, second, third]
}

#[test]
#[expect(clippy::disallowed_methods, reason = "golden files lie on the disk")]
fn a_manifest_of_version_two() {
    let (mut manifest, reserve, vfs) = new_manifest();
    history()
        .iter()
        .for_each(|edit| manifest.commit(edit, &reserve).unwrap());
    let bytes = vfs.read(Path::new("/manifest"), MAX_BYTES).unwrap();
    let golden = path("v2.manifest");
    if std::env::var_os("TREERING_REGENERATE_GOLDEN").is_some() {
        fs::create_dir_all(path("")).unwrap();
        fs::write(&golden, &bytes).unwrap();
    }
    let kept = fs::read(&golden).unwrap();
    assert!(
        kept == bytes,
        "v2.manifest is not what this code writes: a format changed"
    );
    let vfs = MemVfs::new();
    vfs.create(Path::new("/manifest"))
        .unwrap()
        .write_all_at(&kept, 0)
        .unwrap();
    let (read, torn) = Manifest::open(Arc::new(vfs), Path::new("/"))
        .unwrap()
        .unwrap();
    assert_eq!((&read.state, torn), (&manifest.state, 0));
    let state = read.state;
    assert_eq!(state.blocks.keys().copied().collect::<Vec<_>>(), [2, 3]);
    assert_eq!(state.blocks[&2].purged, 200);
    assert_eq!(state.namespaces.keys().copied().collect::<Vec<_>>(), [0, 1]);
    assert_eq!(state.namespaces[&1].options.downsample.len(), 2);
    assert_eq!(
        state.namespaces[&0].options.retention,
        Some(Duration::from_secs(86_400))
    );
    assert_eq!(state.tombstones.keys().copied().collect::<Vec<_>>(), [200]);
    assert_eq!(state.tombstones[&200].selector.matchers().len(), 4);
    assert_eq!(state.metadata.len(), 1);
    assert_eq!(state.metadata[&(0, "sent".to_owned())].unit, "bytes");
    assert_eq!(state.next_namespace, 9);
}
