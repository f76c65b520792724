//! What survives: kills, torn tails, damage, failing fsync, full disks.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use treering::time::ManualClock;
use treering::vfs::{CallKind, CrashVfs, Fault, FaultVfs, MemVfs, Repeat, Vfs};
use treering::{Batch, Db, Error, Options, Sync};

use crate::support::{all, append, bits, cpu, files, manual, memory, open};

fn write(vfs: &Arc<dyn Vfs>, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let path = Path::new(path);
    let mut bytes = vfs.read(path, 1 << 30).unwrap();
    change(&mut bytes);
    let file = vfs.open_rw(path).unwrap();
    file.set_len(0).unwrap();
    file.write_all_at(&bytes, 0).unwrap();
}

/// A killed process loses nothing that was acknowledged, in any mode.
#[test]
fn a_kill_loses_nothing_acknowledged() {
    let crash = CrashVfs::new();
    let vfs: Arc<dyn Vfs> = Arc::new(crash.clone());
    let db = open(&vfs);
    for at in 0..100 {
        append(&db, &cpu("a"), at, at as f64);
    }
    let after: Arc<dyn Vfs> = Arc::new(crash.kill_image());
    let again = open(&after);
    assert_eq!(all(&again, "cpu"), all(&db, "cpu"));
    assert_eq!(again.recovery().samples, 100);
    assert_eq!(again.recovery().wal_cut, None);
}

/// Bytes behind the last fsync that are torn were never promised: they are cut and reported.
#[test]
fn a_torn_tail_is_cut_and_reported() {
    let vfs = memory();
    let db = open(&vfs);
    append(&db, &cpu("a"), 1, 1.0);
    db.sync().unwrap();
    append(&db, &cpu("a"), 2, 2.0);
    append(&db, &cpu("a"), 3, 3.0);
    // The image is what a killed process leaves: this one goes on, and is not closed before.
    let image: Arc<dyn Vfs> = image_of(&vfs);
    let wal = format!("/db/wal/{}", files(&image, "/db/wal").last().unwrap());
    write(&image, &wal, |bytes| bytes.truncate(bytes.len() - 3));
    let again = open(&image);
    let cut = again.recovery().wal_cut.clone().expect("a cut");
    assert!(cut.bytes > 0);
    assert_eq!(all(&again, "cpu")[0].1.timestamps, [1, 2]);
    append(&again, &cpu("a"), 4, 4.0);
    drop(again);
    let again = open(&image);
    assert_eq!(again.recovery().wal_cut, None);
    assert_eq!(all(&again, "cpu")[0].1.timestamps, [1, 2, 4]);
}

/// The files of a store as another process would find them after a kill.
fn image_of(vfs: &Arc<dyn Vfs>) -> Arc<dyn Vfs> {
    let image = MemVfs::new();
    for dir in ["/db", "/db/wal", "/db/blocks"] {
        image.create_dir(Path::new(dir)).unwrap();
        for name in files(vfs, dir) {
            let path = Path::new(dir).join(name);
            if let Ok(bytes) = vfs.read(&path, 1 << 30) {
                image
                    .create(&path)
                    .unwrap()
                    .write_all_at(&bytes, 0)
                    .unwrap();
            }
        }
    }
    Arc::new(image)
}

/// Damage to a frame that a later frame proves durable is never cut away.
#[test]
fn damage_below_the_synced_mark_is_corruption() {
    let vfs = memory();
    let db = open(&vfs);
    for at in 0..10 {
        append(&db, &cpu("a"), at, at as f64);
    }
    // Closing leaves a frame that says that everything before it was durable.
    db.close().unwrap();
    let wal = format!("/db/wal/{}", files(&vfs, "/db/wal").last().unwrap());
    let len = vfs.read(Path::new(&wal), 1 << 30).unwrap().len();
    for at in (0..len - 32).step_by(7) {
        let image = image_of(&vfs);
        write(&image, &wal, |bytes| bytes[at] ^= 0x10);
        let error = Db::open("/db", manual(&image)).unwrap_err();
        assert!(error.is_corruption(), "byte {at}: {error}");
        // Evidence stays: the damaged file is as it was.
        let kept = image.read(Path::new(&wal), 1 << 30).unwrap();
        assert_eq!(kept.len(), len);
    }
}

/// A manifest that lost its last record must not cost data.
#[test]
fn a_rolled_back_manifest_is_noticed_and_its_blocks_are_kept() {
    let vfs = memory();
    let db = open(&vfs);
    append(&db, &cpu("a"), 1, 1.0);
    db.flush().unwrap();
    let before = vfs.read(Path::new("/db/manifest"), 1 << 30).unwrap();
    append(&db, &cpu("a"), 2, 2.0);
    db.flush().unwrap();
    db.close().unwrap();
    write(&vfs, "/db/manifest", |bytes| *bytes = before);
    let error = Db::open("/db", manual(&vfs)).unwrap_err();
    assert!(error.is_corruption(), "{error}");
    let kept = files(&vfs, "/db/blocks");
    assert_eq!(kept.len(), 2, "{kept:?}");
}

#[test]
fn missing_files_are_named() {
    let vfs = memory();
    let db = open(&vfs);
    append(&db, &cpu("a"), 1, 1.0);
    db.flush().unwrap();
    append(&db, &cpu("a"), 2, 1.0);
    db.close().unwrap();
    for (path, named) in [
        ("/db/blocks/0000000001.block", "0000000001.block"),
        ("/db/manifest", "manifest"),
        ("/db/wal", "wal"),
    ] {
        let image = image_of(&vfs);
        if path == "/db/wal" {
            for name in files(&image, path) {
                image.remove(&Path::new(path).join(name)).unwrap();
            }
        } else {
            image.remove(Path::new(path)).unwrap();
        }
        let error = Db::open("/db", manual(&image)).unwrap_err();
        assert!(
            error.is_corruption() && error.to_string().contains(named),
            "{error}"
        );
    }
}

/// After a failed fsync nobody knows what the disk holds: writes stop, reads go on, reopening
/// replays; what was acknowledged before is there.
#[test]
fn a_failed_fsync_poisons() {
    let faults = FaultVfs::new(memory());
    let vfs: Arc<dyn Vfs> = Arc::new(faults.clone());
    let db = Db::open("/db", manual(&vfs).sync(Sync::Always)).unwrap();
    append(&db, &cpu("a"), 1, 1.0);
    faults.fail_only(
        CallKind::Sync,
        faults.calls() + 1,
        Fault::Sync,
        Repeat::Once,
    );
    let error = db
        .append(&Batch::new().sample(cpu("a"), 2, 2.0))
        .unwrap_err();
    assert!(error.is_poisoned(), "{error}");
    // The disk works again, but the database does not trust it before it is opened anew.
    for refused in [
        db.append(&Batch::new().sample(cpu("a"), 3, 3.0)),
        db.flush(),
        db.sync(),
    ] {
        assert!(refused.unwrap_err().is_poisoned());
    }
    assert_eq!(all(&db, "cpu")[0].1.timestamps[0], 1);
    assert!(db.stats().poisoned);
    assert!(db.close().unwrap_err().is_poisoned());
    let db = Db::open("/db", manual(&vfs).sync(Sync::Always)).unwrap();
    assert_eq!(bits(&all(&db, "cpu")[0].1)[0], (1, 1.0f64.to_bits()));
    append(&db, &cpu("a"), 4, 4.0);
}

/// A full disk refuses appends, keeps answering, and takes appends again when there is room.
#[test]
fn a_full_disk_refuses_and_recovers() {
    let faults = FaultVfs::new(memory());
    let vfs: Arc<dyn Vfs> = Arc::new(faults.clone());
    let db = Db::open("/db", manual(&vfs).reserve_bytes(64 << 10)).unwrap();
    append(&db, &cpu("a"), 0, 0.0);
    faults
        .set_capacity(Path::new("/db"), faults.used() + (256 << 10))
        .unwrap();
    let mut acknowledged = vec![0];
    let refused = loop {
        let at = acknowledged.len() as i64;
        match db.append(&Batch::new().sample(cpu("a"), at, at as f64)) {
            Ok(()) => acknowledged.push(at),
            Err(error) => break error,
        }
    };
    assert!(refused.is_disk_full(), "{refused}");
    assert_eq!(all(&db, "cpu")[0].1.timestamps, acknowledged);
    faults.clear_capacity();
    let at = acknowledged.len() as i64;
    append(&db, &cpu("a"), at, at as f64);
    acknowledged.push(at);
    assert_eq!(all(&db, "cpu")[0].1.timestamps, acknowledged);
    drop(db);
    let db = open(&vfs);
    assert_eq!(all(&db, "cpu")[0].1.timestamps, acknowledged);
}

/// Without threads, an interval is kept by the appends themselves.
#[test]
fn an_interval_is_kept_by_appends_when_there_are_no_threads() {
    let vfs = memory();
    let clock = Arc::new(ManualClock::new(0));
    let options = manual(&vfs)
        .clock(clock.clone())
        .sync(Sync::Interval(Duration::from_millis(200)));
    let db = Db::open("/db", options).unwrap();
    append(&db, &cpu("a"), 1, 1.0);
    assert!(db.stats().wal_unsynced_bytes > 0);
    clock.advance(Duration::from_millis(201));
    append(&db, &cpu("a"), 2, 2.0);
    assert_eq!(db.stats().wal_unsynced_bytes, 0);
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let vfs = memory();
    let db = open(&vfs);
    append(&db, &cpu("a"), 1, 1.0);
    db.close().unwrap();
    write(&vfs, "/db/manifest", |bytes| {
        bytes[8..12].copy_from_slice(&99u32.to_le_bytes());
        let crc = treering_codec_crc(&bytes[..28]);
        bytes[28..32].copy_from_slice(&crc.to_le_bytes());
    });
    let error = Db::open("/db", manual(&vfs)).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Version {
                found: 99,
                supported: 2,
                ..
            }
        ),
        "{error}"
    );
}

/// CRC-32 (IEEE), bit by bit: an implementation of its own, so that the format page is held to it.
fn treering_codec_crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 {
                (crc >> 1) ^ 0xedb8_8320
            } else {
                crc >> 1
            }
        })
    })
}

/// Real files: modes, names, a lock that another open respects.
#[test]
fn a_database_on_a_real_disk() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nested").join("data");
    let db = Db::open(&path, Options::default()).unwrap();
    append(&db, &cpu("a"), 1, 1.0);
    assert!(matches!(
        Db::open(&path, Options::default()),
        Err(Error::Locked { .. })
    ));
    db.flush().unwrap();
    append(&db, &cpu("a"), 2, 2.0);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(&path.join("manifest")), 0o600);
    assert_eq!(mode(&path.join("blocks/0000000001.block")), 0o600);
    drop(db);
    let db = Db::open(&path, Options::default()).unwrap();
    assert_eq!(all(&db, "cpu")[0].1.timestamps, [1, 2]);
}
