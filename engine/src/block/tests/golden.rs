//! Blocks as versions 1 to 4 wrote them: every later release reads them.
//!
//! Those of odd versions hold every kind of chunk entry of samples as they came, those of even ones
//! rows of steps. With `TREERING_REGENERATE_GOLDEN=1` the tests
//! write those of 3 and 4 anew, which is right only together with a change of `docs/format/block.md`.

use std::path::PathBuf;

use super::*;
use crate::vfs::DiskVfs;

fn series() -> Vec<Plain> {
    let scraped = grid(START + 10 * SECOND, 10 * SECOND, 3600);
    let mut series: Vec<_> = (0..40)
        .map(|host| {
            plain(host, vec![START, START + SECOND], |index| {
                (index * host) as f64
            })
        })
        .collect();
    series.push(plain(40, scraped.clone(), |_| 0.5));
    series.push(plain(41, scraped.clone(), |index| {
        if index / 720 % 2 == 0 {
            1.0
        } else {
            (index % 3) as f64
        }
    }));
    series.push(plain(42, scraped[1000..].to_vec(), |index| {
        (index / 50) as f64
    }));
    series.push(plain(43, vec![i64::MIN, -1, i64::MAX], |index| {
        [stale_marker(), -0.0, f64::from_bits(0x7ff8_0000_0000_00ff)][index]
    }));
    series
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/block/tests/golden")
        .join(name)
}

fn regenerate() -> bool {
    std::env::var_os("TREERING_REGENERATE_GOLDEN").is_some()
}

/// Versions 1 and 3: nobody writes the first any more.
#[test]
fn blocks_of_samples_as_they_came_are_read() {
    let vfs: Arc<dyn Vfs> = Arc::new(DiskVfs::new());
    for name in ["v1.block", "v3.block"] {
        let path = golden(name);
        if name == "v3.block" && regenerate() {
            write(&vfs, &path, META, &series()).unwrap();
        }
        for reads in [Reads::Mmap, Reads::Pread] {
            let block = Block::open(&vfs, &path, reads).unwrap();
            assert_eq!(block.info().meta, META);
            let ranges = [(START, START), (START + 7200 * SECOND, i64::MAX)];
            check(&block, &series(), &ranges);
        }
    }
}

/// Versions 2 and 4: nobody writes the first any more.
#[test]
fn blocks_of_steps_are_read() {
    let vfs: Arc<dyn Vfs> = Arc::new(DiskVfs::new());
    let series = stepped::series(600);
    for name in ["v2.block", "v4.block"] {
        let path = golden(name);
        if name == "v4.block" && regenerate() {
            let _ = vfs.remove(&path);
            stepped::write_steps(&vfs, &path, &series);
        }
        for reads in [Reads::Mmap, Reads::Pread] {
            let block = Block::open(&vfs, &path, reads).unwrap();
            stepped::check_steps(&block, &series);
        }
    }
}
