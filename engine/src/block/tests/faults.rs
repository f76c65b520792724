//! A failing disk under a block: every call of writing, publishing and reading fails once.

use super::*;
use crate::vfs::{Fault, FaultVfs, Repeat};

fn series() -> Vec<Plain> {
    let times = grid(START, 1, 3000);
    let noise = |index: usize| f64::from_bits((index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    (0..30)
        .map(|host| plain(host, times.clone(), noise))
        .collect()
}

/// A block is there whole, or an error was returned and no unfinished file stays behind.
#[test]
fn a_failed_write_leaves_nothing_behind() {
    for fault in [Fault::Io, Fault::NoSpace, Fault::ShortWrite, Fault::Sync] {
        let mut call = 1;
        while fails_cleanly(fault, call) {
            call += 1;
        }
        assert!(call > 1, "{fault:?}");
    }
}

/// Whether the fault came up at this call or later.
fn fails_cleanly(fault: Fault, call: u64) -> bool {
    let disk = Arc::new(FaultVfs::new(store()));
    let vfs: Arc<dyn Vfs> = Arc::clone(&disk) as _;
    disk.fail(call, fault, Repeat::Once);
    let written = write(&vfs, path(), META, &series());
    let failed = disk.fired() > 0;
    disk.heal();
    let temporary = path().with_extension("tmp");
    // After `finish` the file is whole, and the caller's, whatever becomes of its name.
    for name in [path(), temporary.as_path()] {
        if vfs.exists(name).unwrap() {
            let block = Block::open(&vfs, name, Reads::Pread).unwrap();
            block.verify().unwrap();
        }
    }
    match written {
        Ok(_) => assert!(vfs.exists(path()).unwrap()),
        Err(Error::DiskFull { .. } | Error::Io { .. }) => assert!(failed),
        Err(error) => panic!("{fault:?} at call {call}: {error}"),
    }
    failed
}

#[test]
fn a_failed_read_is_an_error_and_is_tried_again() {
    let series = series();
    let intact = store();
    write(&intact, path(), META, &series).unwrap();
    let mut call = 1;
    loop {
        let disk = Arc::new(FaultVfs::new(Arc::clone(&intact)));
        let vfs: Arc<dyn Vfs> = Arc::clone(&disk) as _;
        disk.fail(call, Fault::Io, Repeat::Once);
        let first = Block::open(&vfs, path(), Reads::Pread);
        let found = first.as_ref().map_err(Clone::clone).and_then(read);
        if disk.fired() == 0 {
            assert_eq!(found.unwrap(), model(&series));
            break;
        }
        assert!(
            matches!(found, Err(Error::Io { .. })),
            "call {call}: {found:?}"
        );
        if let Ok(block) = first {
            assert_eq!(read(&block).unwrap(), model(&series), "call {call}");
        }
        call += 1;
    }
    assert!(call > 20, "{call}");
}
