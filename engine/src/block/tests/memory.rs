//! What an open block takes of the heap, and that it answers where there is no room for any of it.

use super::super::BlockCache;
use super::super::format::length;
use super::*;

/// Two hundred series of two thousand samples, some with timestamps of their own.
fn series() -> Vec<Plain> {
    let shared = grid(START, 10 * SECOND, 2000);
    let times = |host: i64| match host % 10 {
        0 => grid(START + host, 10 * SECOND, 2000),
        _ => shared.clone(),
    };
    let one = |host: i64| plain(host as usize, times(host), |at| (at * host as usize) as f64);
    (0..200).map(one).collect()
}

fn open(vfs: &Arc<dyn Vfs>, reads: Reads, cache: &Arc<BlockCache>) -> Block {
    Block::open_with(vfs, path(), reads, cache).unwrap()
}

#[test]
fn a_block_without_room_in_the_cache_answers_the_same() {
    let (vfs, series) = (store(), series());
    write(&vfs, path(), META, &series).unwrap();
    let ranges = [(START + 5 * SECOND, START + 3000 * SECOND)];
    for reads in [Reads::Mmap, Reads::Pread] {
        for bytes in [0, 300_000, 64 << 20] {
            let cache = BlockCache::new(bytes);
            let block = open(&vfs, reads, &cache);
            check(&block, &series, &ranges);
            let kept = cache.bytes();
            assert!(kept <= bytes, "{kept} of {bytes}");
            assert!(bytes < 1 << 20 || kept > 200_000, "{kept} of {bytes}");
            drop(block);
            assert_eq!(cache.bytes(), 0);
        }
    }
}

#[test]
fn an_index_counts_until_its_last_reader_is_through() {
    let vfs = store();
    write(&vfs, path(), META, &series()).unwrap();
    let (none, enough) = (BlockCache::new(0), BlockCache::new(64 << 20));
    let block = open(&vfs, Reads::Pread, &none);
    let bytes = length(&block.footer.sections.index) as usize;
    assert_eq!(block.heap_bytes(), 0);
    let index = block.index().unwrap();
    let same = block.index().unwrap();
    assert_eq!(block.heap_bytes(), bytes);
    drop(index);
    assert_eq!(block.heap_bytes(), bytes);
    assert_eq!(
        same.labels().unwrap().labels(7).unwrap(),
        series()[7].labels
    );
    drop(same);
    assert_eq!((block.heap_bytes(), none.bytes()), (0, 0));

    let block = open(&vfs, Reads::Pread, &enough);
    drop(block.index().unwrap());
    assert_eq!(block.heap_bytes(), bytes);
    assert!(enough.bytes() > bytes);
    let mapped = open(&vfs, Reads::Mmap, &none);
    drop(mapped.index().unwrap());
    assert_eq!(mapped.things().bytes(), 0);
}

#[test]
fn what_a_tombstone_selects_is_kept_while_there_is_room() {
    let vfs = store();
    write(&vfs, path(), META, &series()).unwrap();
    let selector = Selector::metric("cpu").eq("host", "host_0012");
    for (bytes, kept) in [(0, false), (1 << 20, true)] {
        let cache = BlockCache::new(bytes);
        let block = open(&vfs, Reads::Mmap, &cache);
        assert!(block.known_hidden(5).is_none());
        let index = block.index().unwrap();
        assert_eq!(index.hidden(5, selector.matchers()).unwrap().to_vec(), [12]);
        assert_eq!(block.known_hidden(5).is_some(), kept);
        assert_eq!(cache.bytes(), block.things().bytes());
        assert_eq!(cache.bytes() > 0, kept);
    }
}
