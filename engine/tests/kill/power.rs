//! Power cuts of a real kernel: a file system on a loop image is shut down under the writing process,
//! without writing out anything (`FS_IOC_GOINGDOWN`), mounted again, and the database compared.
//!
//! Needs root, loop devices, `mkfs.ext4` or `mkfs.xfs`, and Python 3 for the ioctl; says what it
//! skipped. `TREERING_POWER_CUTS` is the number of cuts on each file system.

use std::sync::PoisonError;

use super::{Acks, Lives, TURN, number};
use crate::mounted::{FILE_SYSTEMS, Mounted};

#[test]
fn a_power_cut_loses_nothing_that_was_acknowledged() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let cuts = number("TREERING_POWER_CUTS").unwrap_or(12);
    let seed = number("TREERING_SEED").unwrap_or(1);
    for (make, words, mib) in FILE_SYSTEMS {
        let dir = tempfile::tempdir().unwrap();
        let mounted = match Mounted::make(dir.path(), make, words, mib) {
            Ok(mounted) => mounted,
            Err(why) => {
                eprintln!("SKIPPED: power cuts on what {make} makes: {why}");
                continue;
            }
        };
        let mut lives = Lives::new(mounted.mount.join("db"), seed);
        for _ in 0..cuts {
            lives.live(
                &mut |child| {
                    mounted.cut();
                    child.kill().unwrap();
                },
                // An fsync that is under way when the ioctl aborts the journal may return Ok with
                // nothing written (ext4); no power cut does that. What was read before, counts.
                Acks::MayCount,
                &mut || mounted.again(),
            );
        }
        eprintln!("power cuts: {cuts} ({make}), {lives}");
    }
}
