//! Blocks as versions 1 and 2 wrote them: every later release reads them.
//!
//! `golden/v1.block` holds every kind of chunk entry of samples as they came, `golden/v2.block` rows
//! of steps. With `TREERING_REGENERATE_GOLDEN=1` the tests
//! write them anew, which is right only together with a change of `docs/format/block.md`.

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

#[test]
fn a_block_of_version_one_is_read() {
    let vfs: Arc<dyn Vfs> = Arc::new(DiskVfs::new());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/block/tests/golden/v1.block");
    if std::env::var_os("TREERING_REGENERATE_GOLDEN").is_some() {
        write(&vfs, &path, META, &series()).unwrap();
    }
    for reads in [Reads::Mmap, Reads::Pread] {
        let block = Block::open(&vfs, &path, reads).unwrap();
        assert_eq!(block.info().meta, META);
        check(
            &block,
            &series(),
            &[(START, START), (START + 7200 * SECOND, i64::MAX)],
        );
    }
}

#[test]
fn a_block_of_version_two_is_read() {
    let vfs: Arc<dyn Vfs> = Arc::new(DiskVfs::new());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/block/tests/golden/v2.block");
    let series = stepped::series(600);
    if std::env::var_os("TREERING_REGENERATE_GOLDEN").is_some() {
        let _ = vfs.remove(&path);
        stepped::write_steps(&vfs, &path, &series);
    }
    for reads in [Reads::Mmap, Reads::Pread] {
        let block = Block::open(&vfs, &path, reads).unwrap();
        stepped::check_steps(&block, &series);
    }
}
